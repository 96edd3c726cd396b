import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import DatasetInfo
from automl_keras.search_space import ImageSearchSpace
from automl_keras.supernet import MinibatchScorer, make_supernet, minibatches


def test_accuracies_are_those_of_single_minibatches(space: ImageSearchSpace, info: DatasetInfo) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
    codes = rng.integers(0, 3, 300).astype(np.int32)
    supernet = make_supernet(space, info, seed=0)
    before = supernet.get_weights()
    scorer = MinibatchScorer(supernet, images, codes, seed=5)
    assert scorer.num_batches == 2  # of 128: the rest is left out
    architectures = [space.sample(rng) for _ in range(3)]
    found = scorer.scores(architectures, 1)
    order = np.random.default_rng((5, 4096)).permutation(300)[:256].reshape(2, 128)
    for architecture, place, accuracy in zip(architectures, (1, 0, 1), found, strict=True):
        logits = supernet.forward(tf.constant(images[order[place]]), tf.constant(space.encode(architecture)), "train")
        assert accuracy == np.mean(np.argmax(logits, axis=1) == codes[order[place]])
    assert all(np.array_equal(a, b) for a, b in zip(before, supernet.get_weights(), strict=True))


def test_images_count_as_much_as_they_weigh(space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray) -> None:
    space = space.restrict({f"stage{stage}_operation": ("residual",) for stage in range(3)} | {"stage0_kernel": (3,)})
    codes = np.random.default_rng(2).integers(0, 3, 64).astype(np.int32)
    weight = np.random.default_rng(3).random(64)
    supernet = make_supernet(space, info, seed=0)
    path = tf.constant(space.encode(space.default()))
    right = np.argmax(supernet.forward(tf.constant(images), path, "train"), axis=1) == codes
    assert 0 < right.sum() < 64
    for given, wanted in ((weight, np.average(right, weights=weight)), (weight * right, 1.0), (0 * weight, 0.0)):
        [found] = MinibatchScorer(supernet, images, codes, given).scores([space.default()], 0)
        assert found == pytest.approx(wanted)


def test_images_are_capped_by_number_and_by_bytes(
    space: ImageSearchSpace, info: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, codes = np.zeros((4300, 8, 8, 1), np.uint8), np.zeros(4300, np.int32)
    supernet = make_supernet(space, info, seed=0)
    assert MinibatchScorer(supernet, images, codes).num_batches == 4096 // 128
    for most, num_batches in ((300 * 64, 2), (100 * 64, 1)):
        monkeypatch.setattr(minibatches, "MAX_BYTES", most)
        assert MinibatchScorer(supernet, images, codes).num_batches == num_batches
    monkeypatch.undo()
    large = np.zeros((1500, 96, 96, 3), np.float32)
    assert MinibatchScorer(supernet, large, codes[:1500]).num_batches == (64 << 20) // (96 * 96 * 3 * 4) // 128
