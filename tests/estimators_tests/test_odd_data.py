"""Data unlike the usual ones: colour, flat, few, many classes, one-sided, other pixel ranges."""

import numpy as np
import pytest

from automl_keras import Budget, ImageClassifier
from automl_keras.data import prepare_data
from automl_keras.evaluation import CostPredictor
from automl_keras.export import TFLiteModel
from automl_keras.search_space import image_space

Shape = tuple[int, int, int]


def made(shape: Shape, class_sizes: list[int], *, noise: float = 25.0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images, each the pattern of its class, 4x4 patches of random colour, with noise."""
    rng = np.random.default_rng(0)
    height, width, channels = shape
    patches = rng.integers(30, 226, (len(class_sizes), 4, 4, channels))
    patterns = patches[:, np.arange(height) * 4 // height][:, :, np.arange(width) * 4 // width]
    y = np.repeat(np.arange(len(class_sizes)), class_sizes)
    x = patterns[y] + rng.normal(0.0, noise, (len(y), *shape))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8), y


def balanced_accuracy(classifier: ImageClassifier, x: np.ndarray, y: np.ndarray) -> float:
    right = classifier.predict(x) == y
    return float(np.mean([right[y == label].mean() for label in np.unique(y)]))


def check_file(classifier: ImageClassifier, x: np.ndarray, y: np.ndarray) -> None:
    """The file takes the user's pixels, has all classes, answers as the model does and is as large as was predicted."""
    file = TFLiteModel(classifier.tflite_path_)
    assert file.image_shape == x.shape[1:]
    assert file.input_details["dtype"] == (np.uint8 if x.dtype == np.uint8 else np.float32)
    assert classifier.classes_.tolist() == np.unique(y).tolist()
    assert file.output_details["shape"][-1] == classifier.predict_proba(x[:1]).shape[1] == len(np.unique(y))
    answers = classifier.classes_[file.predict(x.astype(np.float32, copy=False)).argmax(axis=1)]
    assert np.mean(answers == classifier.predict(x)) > 0.9
    predicted = CostPredictor(image_space(x.shape[1:], len(np.unique(y))), prepare_data(x, y, seed=0).info)
    cost = predicted(classifier.best_architecture_)
    assert cost.size_kb == pytest.approx(classifier.report_.size_kb, rel=0.03)
    assert cost.ram_kb == classifier.report_.ram_kb


@pytest.mark.parametrize("side", [8, 16, 28, 32, 64, 96, 224])
def test_default_network_looks_at_small_images_in_full(side: int) -> None:
    spec = image_space((side, side, 3), 5).network_spec({})
    sizes = [size for _, size in spec.convs()]
    assert spec.stem.stride == (1 if side <= 16 else 2)
    assert 2 <= sizes[-1][0] <= 7  # pooling sees a few places, neither one nor a whole image
    macs = [np.prod(size) * conv.kernel**2 * conv.in_channels * conv.out_channels for conv, size in spec.convs()]
    assert max(macs) < 0.5 * sum(macs)


@pytest.mark.parametrize("shape", [(8, 64, 1), (64, 8, 3), (4, 100, 1)])
def test_flat_images_keep_both_sides(shape: Shape) -> None:
    sizes = [size for _, size in image_space(shape, 2).network_spec({}).convs()]
    assert min(min(size) for size in sizes) >= 1 and max(sizes[-1]) > 1


def test_every_class_is_in_both_parts() -> None:
    for class_sizes in ([300, 3], [2] * 5, [3, 4, 5, 3] * 50):
        prepared = prepare_data(*made((8, 8, 3), class_sizes), seed=0)
        for part in (prepared.train, prepared.validation):
            assert np.bincount(part.codes, minlength=len(class_sizes)).min() >= 1


@pytest.mark.slow
def test_few_flat_images_of_four_channels_around_zero() -> None:
    x, y = made((8, 64, 4), [20, 20])
    x = (x / 127.5 - 1.0).astype(np.float32)
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=0).fit(x, y, epochs=20, batch_size=8)
    assert classifier.score(x, y) > 0.8
    check_file(classifier, x, y)


@pytest.mark.slow
def test_many_classes_of_few_images() -> None:
    x, y = made((12, 12, 3), [3, 4, 5, 4] * 50)
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=0).fit(x, y, epochs=12, batch_size=32)
    assert classifier.score(x, y) > 20 / 200
    assert len(np.unique(classifier.predict(x))) > 50
    check_file(classifier, x, y)


@pytest.mark.slow
def test_one_sided_classes_of_16_bits() -> None:
    x, y = made((12, 12, 1), [300, 3])
    x = x.astype(np.uint16) * 257
    weight = {0: 1.0, 1: 100.0}
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=0).fit(x, y, epochs=6, class_weight=weight)
    assert balanced_accuracy(classifier, x, y) > 0.6  # always the large class: 0.5
    check_file(classifier, x, y)


@pytest.mark.slow
def test_two_images_of_each_class() -> None:
    x, y = made((10, 10, 3), [2, 2, 2, 2])
    classifier = ImageClassifier(budget=Budget(max_size_kb=25), max_trials=1, seed=0, verbose=0)
    classifier.fit(x / 255.0, y, epochs=30)
    assert classifier.score(x / 255.0, y) > 0.5
    check_file(classifier, x / 255.0, y)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 64, 3), (96, 96, 3)])
def test_colour_images_of_all_sizes_are_searched(shape: Shape) -> None:
    x, y = made(shape, [40] * 5, noise=40.0)
    classifier = ImageClassifier(max_trials=2, seed=0, verbose=0).fit(x, y, epochs=8, batch_size=16)
    assert classifier.score(x, y) > 0.8
    assert sum(row["source"] == "shared_weights" for row in classifier.leaderboard()) == 2
    check_file(classifier, x, y)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "class_sizes"),
    [
        pytest.param((28, 28, 1), [10] * 10, id="100 images"),
        pytest.param((16, 16, 3), [4] * 200, id="200 classes"),
        pytest.param((24, 24, 1), [1000, 10], id="1 in 100"),
        pytest.param((8, 64, 1), [100, 100], id="flat"),
    ],
)
def test_by_the_clock(shape: Shape, class_sizes: list[int]) -> None:
    x, y = made(shape, class_sizes, noise=40.0)
    classifier = ImageClassifier(time_limit=20, seed=0, verbose=0).fit(x, y)
    assert balanced_accuracy(classifier, x, y) > 0.7
    check_file(classifier, x, y)
