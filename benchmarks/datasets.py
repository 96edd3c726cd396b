"""The data sets of the benchmarks, the same images in every run."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist


class Data(NamedTuple):
    """Training and test part."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def fashion_10k() -> Data:
    """1,000 training images of each class, drawn by `RandomState(0)`, and all 10,000 test images."""
    x_train, y_train, x_test, y_test = _fashion()
    random = np.random.RandomState(0)
    chosen = [random.choice(np.flatnonzero(y_train == label), 1000, replace=False) for label in range(10)]
    indices = np.sort(np.concatenate(chosen))
    return Data(x_train[indices], y_train[indices], x_test, y_test)


def digits() -> Data:
    """scikit-learn's digits, 80 % for training, stratified, seed 0."""
    data = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        data.images, data.target, test_size=0.2, stratify=data.target, random_state=0
    )
    return Data(x_train, y_train, x_test, y_test)


def _fashion() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if not FASHION_FOLDER.is_dir():
        import keras

        (x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
        return x_train, y_train, x_test, y_test
    parts = []
    for name in ("train", "t10k"):
        images = np.frombuffer(
            gzip.decompress((FASHION_FOLDER / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8
        )
        labels = np.frombuffer(
            gzip.decompress((FASHION_FOLDER / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8
        )
        parts += [images[16:].reshape(-1, 28, 28), labels[8:]]
    return parts[0], parts[1], parts[2], parts[3]


DATASETS = {"fashion_10k": fashion_10k, "digits": digits}
