"""Values and several labels: a regression of the digit's value, and two digits side by side.

Run it with `python examples/08_regression_and_multi_label.py`; it takes about two minutes.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from automl_keras import Budget, ImageClassifier, ImageRegressor
from automl_keras.export import TFLiteModel

BUDGET = Budget(max_size_kb=60)


def side_by_side(images: np.ndarray, digits: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of images, and for each a row of 0 and 1 that says which digits are there."""
    left, right = np.random.default_rng(seed).integers(0, len(images), (2, count))
    labels = np.zeros((count, 10), np.uint8)
    labels[np.arange(count), digits[left]] = labels[np.arange(count), digits[right]] = 1
    return np.concatenate([images[left], images[right]], axis=2), labels


def main() -> None:
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )

    reg = ImageRegressor(budget=BUDGET, time_limit=45, seed=0)
    reg.fit(x_train, y_train)
    report = reg.export_tflite("value.tflite")
    in_file = TFLiteModel(report.path).predict(x_test[..., np.newaxis])[:, 0]  # in the units of y, like reg.predict
    ridge = Ridge().fit(x_train.reshape(len(x_train), -1), y_train)
    print(
        f"\nR^2 of the network {reg.score(x_test, y_test):.3f}, of its file {r2_score(y_test, in_file):.3f}, ", end=""
    )
    print(f"of a ridge regression on pixels {ridge.score(x_test.reshape(len(x_test), -1), y_test):.3f}\n")

    pairs, labels = side_by_side(x_train, y_train, 2000, seed=1)
    pairs_test, labels_test = side_by_side(x_test, y_test, 500, seed=2)
    clf = ImageClassifier(multi_label=True, budget=BUDGET, time_limit=45, seed=0)
    clf.fit(pairs, labels)
    clf.export_tflite("pairs.tflite")
    print(f"\nBoth digits right: {clf.score(pairs_test, labels_test):.3f}; {clf.evaluate(pairs_test, labels_test)}")
    for probabilities, row in zip(clf.predict_proba(pairs_test[:3]), labels_test[:3], strict=True):
        print(f"true {np.flatnonzero(row)}, answered {np.flatnonzero(probabilities > 0.5)}, {probabilities.round(2)}")


if __name__ == "__main__":
    main()
