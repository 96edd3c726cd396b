"""The data sets of the benchmarks, the same images in every run."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
from corruptions import noisy_labels, with_relatives
from glyphs import character_images
from photos import photo_patches
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist


class Data(NamedTuple):
    """Training and test part, and what an expert knows: whether a mirrored image is of the same class."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    may_flip: bool = True


def fashion_10k() -> Data:
    """1,000 training images of each class, drawn by `RandomState(0)`, and all 10,000 test images."""
    return _fashion_part(1000)


def fashion_60k() -> Data:
    """All 60,000 training images and all 10,000 test images."""
    return Data(*_fashion())


def digits() -> Data:
    """scikit-learn's digits, 80 % for training, stratified, seed 0."""
    data = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        data.images, data.target, test_size=0.2, stratify=data.target, random_state=0
    )
    return Data(x_train, y_train, x_test, y_test, may_flip=False)


def photos() -> Data:
    """Colour: patches of photographs, left of each for training, right for testing; see `photo_patches`."""
    return Data(*photo_patches())


def characters() -> Data:
    """Many classes: characters of fonts, other families for training than for testing; see `character_images`."""
    return Data(*character_images(), may_flip=False)


def few_images() -> Data:
    """Few images: 30 Fashion images of each class for training, all 10,000 test images."""
    return _fashion_part(30)


def near_duplicates() -> Data:
    """Near-duplicates: 100 of the photo patches of each class, each in five versions; the test set is `photos`'s."""
    x_train, y_train, x_test, y_test = photo_patches()
    chosen = _drawn(y_train, 100)
    return Data(*with_relatives(x_train[chosen], y_train[chosen], copies=5, seed=0), x_test, y_test)


def label_noise() -> Data:
    """Label noise: Fashion-10k, one in five training labels drawn anew among all classes."""
    data = fashion_10k()
    return data._replace(y_train=noisy_labels(data.y_train, share=0.2, seed=0))


def _fashion_part(images_per_class: int) -> Data:
    x_train, y_train, x_test, y_test = _fashion()
    chosen = _drawn(y_train, images_per_class)
    return Data(x_train[chosen], y_train[chosen], x_test, y_test)


def _drawn(labels: np.ndarray, images_per_class: int) -> np.ndarray:
    """Sorted indices of as many images of each class, drawn by `RandomState(0)`."""
    random = np.random.RandomState(0)
    chosen = [
        random.choice(np.flatnonzero(labels == label), images_per_class, replace=False) for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(chosen))


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


DATASETS = {
    "fashion_10k": fashion_10k,
    "fashion_60k": fashion_60k,
    "digits": digits,
    "photos": photos,
    "few_images": few_images,
    "characters": characters,
    "near_duplicates": near_duplicates,
    "label_noise": label_noise,
}
