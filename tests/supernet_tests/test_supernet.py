from pathlib import Path

import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.search_space import ImageSearchSpace
from automl_keras.supernet import SubnetScorer, Supernet, make_supernet


@pytest.fixture(scope="module")
def supernet(space: ImageSearchSpace, info: DatasetInfo) -> Supernet:
    return make_supernet(space, info, seed=0)


@pytest.fixture(scope="module")
def scorer(supernet: Supernet, images: np.ndarray, codes: np.ndarray) -> SubnetScorer:
    return SubnetScorer(supernet, images, images, codes)


def predict(supernet: Supernet, scorer: SubnetScorer, images: np.ndarray) -> np.ndarray:
    return scorer.predict_batch(images).numpy()


def test_subnet_computes_what_the_supernet_computes(
    supernet: Supernet, scorer: SubnetScorer, space: ImageSearchSpace, images: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        architecture = space.sample(rng)
        scorer.calibrate(architecture)
        network = supernet.subnet(architecture)
        assert np.abs(network.predict_on_batch(images) - predict(supernet, scorer, images)).max() < 1e-5


def test_subnet_is_the_same_after_save_and_load(
    scorer: SubnetScorer, space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray, tmp_path: Path
) -> None:
    supernet = scorer.supernet
    architecture = space.sample(np.random.default_rng(5))
    scorer.calibrate(architecture)
    supernet.save_weights(tmp_path / "a.weights.h5")
    other = make_supernet(space, info, seed=99)
    other.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(other.architecture_code.numpy(), space.encode(architecture))
    difference = other.subnet(architecture).predict_on_batch(images) - predict(supernet, scorer, images)
    assert np.abs(difference).max() < 1e-5


def test_scoring_200_subnets_traces_nothing_new(scorer: SubnetScorer, space: ImageSearchSpace) -> None:
    rng = np.random.default_rng(1)
    scorer.score(space.default())
    functions = (scorer.calibrate_batch, scorer.predict_batch)
    before = [function.experimental_get_tracing_count() for function in functions]
    for _ in range(200):
        scorer.score(space.sample(rng))
    assert [function.experimental_get_tracing_count() for function in functions] == before == [1, 1]


def test_scoring_leaves_the_supernet_as_it_was(scorer: SubnetScorer, space: ImageSearchSpace) -> None:
    before = scorer.supernet.get_weights()
    scorer.score(space.extreme(largest=True, operation="mbconv"))
    assert all(np.array_equal(a, b) for a, b in zip(before, scorer.supernet.get_weights(), strict=True))


def test_calibrated_statistics_are_the_mean_over_batches(
    supernet: Supernet, space: ImageSearchSpace, images: np.ndarray, codes: np.ndarray
) -> None:
    scorer = SubnetScorer(supernet, images, images, codes)
    architecture = space.extreme(largest=False)
    scorer.calibrate(architecture)
    pixels = (images.astype("float32") - 100.0) / 50.0
    stem = supernet.conv("stem")
    import tensorflow as tf

    outputs = tf.nn.conv2d(pixels, stem.kernel.value[..., :8], 2, "SAME").numpy()
    assert np.allclose(stem.mean.numpy()[:8], outputs.mean(axis=(0, 1, 2)), atol=1e-4)
    assert np.allclose(stem.variance.numpy()[:8], outputs.var(axis=(0, 1, 2), ddof=1), rtol=1e-4)


def test_calibration_draws_from_all_images(supernet: Supernet, space: ImageSearchSpace) -> None:
    dark_then_light = np.repeat(np.array([0, 200], np.uint8), 1500)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    scorer = SubnetScorer(supernet, dark_then_light, dark_then_light[:10], np.zeros(10, np.int32))
    seen = np.concatenate([batch.numpy() for batch in scorer.calibration_batches])
    assert len(seen) == 1000 and 0.4 < np.mean(seen == 200) < 0.6


def test_supernet_refuses_jit(supernet: Supernet) -> None:
    assert supernet.supports_jit is False
