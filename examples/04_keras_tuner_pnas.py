"""Progressive search (PNAS) over anyone's `build_model`, in a plain Keras-Tuner tuner.

The space is what `build_model` declares, also in a loop of as many layers as a hyperparameter says: decisions
that turn up in mid-search are searched from then on. Run it with `python examples/04_keras_tuner_pnas.py`.
"""

import tempfile
from typing import Any

import keras
import keras_tuner
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from automl_keras.tuners import PNASOracle


def build_model(hp: Any) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16)])
    features = hp.Choice("features", ["pixels", "convolution"])
    with hp.conditional_scope("features", ["convolution"]):
        if features == "convolution":
            filters, kernel = hp.Int("filters", 8, 24, step=8), hp.Choice("kernel", [3, 5])
            model.add(keras.layers.Conv2D(filters, kernel, padding="same", activation="relu"))
            model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    for index in range(hp.Int("layers", 1, 3)):
        model.add(keras.layers.Dense(hp.Choice(f"units_{index}", [16, 32, 64]), activation="relu"))
    model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.4, step=0.2)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Choice("learning_rate", [1e-3, 3e-3, 1e-2])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    keras.utils.set_random_seed(0)
    digits = load_digits()
    x, x_test, y, y_test = train_test_split(
        digits.images[..., None], digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    oracle = PNASOracle(objective="val_accuracy", max_trials=24, seed=0)
    with tempfile.TemporaryDirectory() as directory:
        tuner = keras_tuner.Tuner(oracle, build_model, directory=directory, project_name="digits")
        tuner.search(x, y, validation_split=0.2, epochs=3, verbose=0)
        tuner.results_summary(num_trials=3)
        _, accuracy = tuner.get_best_models()[0].evaluate(x_test, y_test, verbose=0)
    print(f"\nSearched: {oracle.strategy.space}. Accuracy of the best on new images: {accuracy:.3f}")


if __name__ == "__main__":
    main()
