"""Several trials at once with Ray: evolution over anyone's `build_model`, on the cores of this machine.

Needs `pip install automl-keras[ray]`. With the environment variable RAY_ADDRESS set the same program runs on that
cluster, whose machines then have to share `directory`. Run it with `python examples/05_ray.py`.
"""

import tempfile
from typing import Any

import keras
import keras_tuner
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from automl_keras.tuners import EvolutionOracle, search_on_ray


def build_model(hp: Any) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16)])
    if hp.Boolean("convolution"):
        model.add(keras.layers.Conv2D(hp.Int("filters", 8, 24, step=8), 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(hp.Choice("units", [16, 32, 64]), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Choice("learning_rate", [1e-3, 3e-3, 1e-2])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    digits = load_digits()
    x, x_test, y, y_test = train_test_split(
        digits.images[..., None], digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    with tempfile.TemporaryDirectory() as directory:
        oracle = EvolutionOracle(objective="val_accuracy", max_trials=8, seed=0, population_size=4, sample_size=2)
        tuner = keras_tuner.Tuner(oracle, build_model, directory=directory, project_name="digits")
        search_on_ray(tuner, x, y, validation_split=0.2, epochs=3, verbose=0, num_workers=2)
        tuner.results_summary(num_trials=3)
        _, accuracy = tuner.get_best_models()[0].evaluate(x_test, y_test, verbose=0)
    print(f"\nAccuracy of the best of {len(oracle.trials)} on new images: {accuracy:.3f}")


if __name__ == "__main__":
    main()
