"""What `autokeras_row.py` runs in AutoKeras's environment: `autokeras_child.py FOLDER EPOCHS SEED`.

Reads data.npz of the folder; writes its answers, the two files, the seconds of the fit and the memory there.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import autokeras
import numpy as np
import tensorflow as tf

CALIBRATION_IMAGES = 200


def main(folder: Path, epochs: int | None, seed: int) -> None:
    """Fit, answer, export."""
    data = np.load(folder / "data.npz")
    # Float pixels, for the files have the type of these images. Texts, so that it answers in texts for any classes.
    x_train, x_test = (_with_channels(data[name]).astype(np.float32) for name in ("x_train", "x_test"))
    order = np.random.default_rng(seed).permutation(len(x_train))  # it validates on the last fifth as it stands
    x_train, y_train = x_train[order], data["y_train"][order].astype(str)
    start = time.monotonic()
    classifier = autokeras.ImageClassifier(max_trials=1, directory=folder / "project", seed=seed)
    classifier.fit(x_train, y_train, epochs=epochs, verbose=2)
    took = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    np.save(folder / "answers.npy", np.ravel(classifier.predict(x_test, verbose=0)).astype(str))
    model = classifier.export_model()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "float32.tflite").write_bytes(converter.convert())

    def calibration() -> Iterator[list[np.ndarray]]:
        for image in x_train[:CALIBRATION_IMAGES]:
            yield [image[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    (folder / "int8.tflite").write_bytes(converter.convert())
    (folder / "result.json").write_text(json.dumps({"seconds": took, "peak GB": peak}))


def _with_channels(images: np.ndarray) -> np.ndarray:
    return images if images.ndim == 4 else images[..., None]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) or None, int(sys.argv[3]))
