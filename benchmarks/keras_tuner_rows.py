"""Keras-Tuner's own tuners over a small hand-written network, as their users write it, stopped at the time limit."""

import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from datasets import Data
from image_rows import RESERVE_SECONDS, peak_gigabytes
from keras import layers
from results_table import FLOAT
from sklearn.model_selection import train_test_split

from automl_keras.data import prepare_data
from automl_keras.export import TFLiteModel, export_int8, median_latency, to_float_tflite

SEARCH_SHARE = 0.7  # of the time; the rest goes to training the best network again, longer
LONG_SEARCH_SECONDS = 120  # from here on a trial may take longer


class SmallNetwork(keras_tuner.HyperModel):
    """Blocks of convolution and pooling, a dense layer, dropout, Adam: the network of the tutorials."""

    def __init__(self, image_shape: tuple[int, ...], num_classes: int, largest_pixel: float) -> None:
        super().__init__()
        self.image_shape, self.num_classes, self.largest_pixel = image_shape, num_classes, largest_pixel

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The network of these hyperparameters, from raw pixels to logits."""
        filters = hp.Choice("filters", [16, 32, 64])
        normalize = hp.Boolean("batch_normalization")
        inputs = keras.Input(self.image_shape)
        outputs = layers.Rescaling(1.0 / self.largest_pixel)(inputs)
        for block in range(hp.Int("blocks", 1, 3)):
            outputs = layers.Conv2D(filters * 2**block, 3, padding="same")(outputs)
            if normalize:
                outputs = layers.BatchNormalization()(outputs)
            outputs = layers.MaxPooling2D()(layers.ReLU()(outputs))
        outputs = layers.Dense(hp.Choice("units", [32, 64, 128]), activation="relu")(layers.Flatten()(outputs))
        outputs = layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1))(outputs)
        model = keras.Model(inputs, layers.Dense(self.num_classes)(outputs))
        model.compile(
            optimizer=keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model


class StopAt(keras.callbacks.Callback):
    """Ends a training at a value of `time.monotonic()`."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """End if it is time."""
        if time.monotonic() >= self.deadline:
            self.model.stop_training = True


class SearchTimeOver(Exception):
    """Raised after the trial during which the time of the search ran out."""


def _stopping(tuner: type[keras_tuner.Tuner], deadline: float) -> type[keras_tuner.Tuner]:
    """A kind of tuner whose search ends with the trial that meets the deadline; Keras-Tuner has no time limit."""

    class StoppingTuner(tuner):
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            if time.monotonic() >= deadline:
                raise SearchTimeOver

    return StoppingTuner


def run_keras_tuner(data: Data, seconds: float, seed: int, algorithm: str) -> dict[str, dict[str, Any]]:
    """Search and train by "random" search or "hyperband".

    Of each network the epoch of the highest validation accuracy counts. The best one of the search is trained anew for
    the rest of the time, and the better of the two is exported.

    Returns:
        Results of the int8 file, under "", and of the float32 file, under `FLOAT`.
    """
    start = time.monotonic()
    keras.utils.set_random_seed(seed)
    prepared = prepare_data(data.x_train, data.y_train, seed=seed)  # the exporter's facts, and the class indices
    shape = prepared.info.image_shape
    images, codes = data.x_train.reshape(-1, *shape), prepared.codec.encode(data.y_train)
    x, x_val, y, y_val = train_test_split(images, codes, test_size=0.2, stratify=codes, random_state=seed)
    network = SmallNetwork(shape, prepared.info.num_classes, prepared.info.pixel_range[1])
    end = start + seconds - RESERVE_SECONDS
    search_end = start + SEARCH_SHARE * (end - start)
    fitting: dict[str, Any] = {"x": x, "y": y, "validation_data": (x_val, y_val), "batch_size": 128, "verbose": 0}
    with tempfile.TemporaryDirectory() as folder:
        tuner = _make_tuner(network, algorithm, seconds, search_end, folder, seed)
        try:
            # Hyperband puts its own number of epochs in place of this one.
            epochs = 10 if seconds >= LONG_SEARCH_SECONDS else 5
            tuner.search(**fitting, epochs=epochs, callbacks=[StopAt(search_end)])
        except SearchTimeOver:
            pass  # the ordinary end
        found = tuner.get_best_models(1)[0]
        trials = len(tuner.oracle.trials)
        model = network.build(tuner.get_best_hyperparameters(1)[0])
    best_epoch = keras.callbacks.EarlyStopping("val_accuracy", patience=10**6, restore_best_weights=True)
    model.fit(**fitting, epochs=10**6, callbacks=[best_epoch, StopAt(end)])
    model = max(model, found, key=lambda one: _accuracy(one.predict(x_val, batch_size=500, verbose=0), y_val))
    with tempfile.TemporaryDirectory() as folder:
        path = export_int8(model, Path(folder) / "int8.tflite", prepared.info, calibration_images=images, seed=seed)
        files = {"": path.read_bytes(), FLOAT: to_float_tflite(model)}
    latencies = {name: median_latency(file) for name, file in files.items()}
    took, peak = time.monotonic() - start, peak_gigabytes()
    x_test, y_test = data.x_test.reshape(-1, *shape), prepared.codec.encode(data.y_test)
    keras_accuracy = _accuracy(model.predict(x_test, batch_size=500, verbose=0), y_test)
    return {
        name: {
            "file": _accuracy(TFLiteModel(file).predict(x_test), y_test),
            "keras": keras_accuracy,
            "kB": len(file) / 1000,
            "latency ms": latencies[name],
            "networks": trials,
            "seconds": took,
            "peak GB": peak,
        }
        for name, file in files.items()
    }


def _make_tuner(
    network: SmallNetwork, algorithm: str, seconds: float, search_end: float, folder: str, seed: int
) -> keras_tuner.Tuner:
    long = seconds >= LONG_SEARCH_SECONDS
    common = {"objective": "val_accuracy", "directory": folder, "seed": seed}
    if algorithm == "hyperband":
        kind = _stopping(keras_tuner.Hyperband, search_end)
        return kind(network, max_epochs=27 if long else 9, factor=3, hyperband_iterations=1000, **common)
    return _stopping(keras_tuner.RandomSearch, search_end)(network, max_trials=1000, **common)


def _accuracy(scores: np.ndarray, codes: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == codes).mean())
