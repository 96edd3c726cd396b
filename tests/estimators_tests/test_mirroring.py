import keras
import numpy as np
import pytest

from automl_keras.data import Dataset
from automl_keras.estimators.mirroring import may_mirror, small_sample, validation_score


def classifier(weights: list[list[float]]) -> keras.Model:
    """Logits of two classes, linear in the mean of the left and of the right half."""
    image = keras.Input((4, 4, 1))
    halves = keras.layers.Flatten()(keras.layers.AveragePooling2D((4, 2))(image))
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(image, dense(halves))
    dense.set_weights([np.array(weights, np.float32)])
    return model


def bright(left: float, right: float) -> np.ndarray:
    image = np.zeros((4, 4, 1), np.float32)
    image[:, :2], image[:, 2:] = left, right
    return image


def test_accuracy_of_mirrored_images() -> None:
    images = np.stack([bright(9, 1), bright(1, 9), bright(8, 2), bright(2, 7)])
    codes = np.array([0, 1, 0, 1], np.int32)

    def accuracies(model: keras.Model, data: Dataset) -> tuple[float, float]:
        return validation_score(model, data), validation_score(model, data, mirrored=True)

    by_side = classifier([[1, -1], [-1, 1]])
    assert accuracies(by_side, Dataset(images, codes, None)) == (1.0, 0.0)
    weighted = Dataset(images, np.array([0, 1, 0, 0], np.int32), np.array([1, 1, 1, 5], np.float32))
    assert accuracies(by_side, weighted) == (3 / 8, 5 / 8)
    by_sum = classifier([[1, -1], [1, -1]])
    assert accuracies(by_sum, Dataset(images, codes, None)) == (0.5, 0.5)


def test_a_sample_is_small_and_spread() -> None:
    many = Dataset(np.zeros((5_000, 2, 2, 1), np.uint8), np.arange(5_000, dtype=np.int32), None)
    codes = small_sample(many).codes
    assert len(codes) == 2_000 and codes[0] == 0 and codes[-1] == 4_999
    few = many.take(np.arange(30))
    assert np.array_equal(small_sample(few).codes, few.codes)


@pytest.mark.parametrize(
    ("plain", "mirrored", "classes", "expected"),
    [
        (0.779, 0.660, 10, True),  # garments
        (0.733, 0.633, 3, True),  # a few photographs
        (0.920, 0.415, 10, False),  # digits
        (0.448, 0.224, 64, False),  # letters
        (0.039, 0.034, 64, False),  # letters, of which the network knows next to nothing
        (0.55, 0.55, 2, False),  # hardly better than chance
    ],
)
def test_what_is_mirrored(plain: float, mirrored: float, classes: int, expected: bool) -> None:
    assert may_mirror(plain, mirrored, np.arange(10 * classes) % classes) is expected


def test_skill_counts_from_the_largest_class() -> None:
    codes = np.array([0] * 80 + [1] * 20)
    assert may_mirror(0.9, 0.88, codes) and not may_mirror(0.9, 0.82, codes) and not may_mirror(0.82, 0.82, codes)
