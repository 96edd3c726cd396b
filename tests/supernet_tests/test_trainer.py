import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import CLASSIFICATION, DatasetInfo
from automl_keras.search_space import Architecture, ImageSearchSpace
from automl_keras.supernet import SandwichSampler, SubnetScorer, Supernet, SupernetTrainer, make_supernet
from automl_keras.training import Limit, recipe_space, weighted_loss


class FixedSampler:
    distill = False

    def __init__(self, *architectures: Architecture) -> None:
        self.architectures = list(architectures)

    def draw(self, step: int) -> list[Architecture]:
        return self.architectures


def make(space: ImageSearchSpace, info: DatasetInfo, **recipe: object) -> tuple[Supernet, SupernetTrainer]:
    supernet = make_supernet(space, info, seed=0)
    return supernet, SupernetTrainer(supernet, recipe_space().canonical(recipe), batch_size=16)


@pytest.mark.parametrize("optimizer", ["muon", pytest.param("adamw", marks=pytest.mark.slow)])
def test_untaken_blocks_do_not_move(
    space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray, codes: np.ndarray, optimizer: str
) -> None:
    supernet, trainer = make(space, info, optimizer=optimizer)
    deep = space.canonical({f"stage{s}_depth": 2 for s in range(3)})
    shallow = space.canonical({f"stage{s}_depth": 1 for s in range(3)} | {"stage0_operation": "fused_mbconv"})
    trainer.train(images, codes, FixedSampler(deep), Limit(steps=4))  # every slot of these blocks is warm now
    before = {key: [v.numpy() for v in group] for key, group in supernet.groups().items()}
    trainer.train(images, codes, FixedSampler(shallow), Limit(steps=4))
    for key, group in supernet.groups().items():
        moved = [not np.array_equal(v.numpy(), old) for v, old in zip(group, before[key], strict=True)]
        stage, operation, index = key
        taken = index == 0 and operation == shallow[f"stage{stage}_operation"]
        assert all(moved) if taken else not any(moved), key


def test_gradients_are_the_sum_over_the_paths(
    space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray, codes: np.ndarray
) -> None:
    supernet, trainer = make(space, info)
    rng = np.random.default_rng(0)
    paths = tf.constant(np.stack([space.encode(space.sample(rng)) for _ in range(3)]))
    batch, targets = tf.cast(images[:16], tf.float32), tf.constant(codes[:16])
    weight = tf.constant(rng.random(16), tf.float32)
    found, _ = trainer.gradients(batch, targets, weight, paths, tf.constant(False))
    expected = [np.zeros(v.shape, np.float32) for v in supernet.trainable_variables]
    for path in paths:
        with tf.GradientTape() as tape:
            loss = weighted_loss(CLASSIFICATION, supernet.forward(batch, path, "train"), targets, weight)
        for total, gradient in zip(expected, tape.gradient(loss, supernet.trainable_variables), strict=True):
            total += 0.0 if gradient is None else tf.convert_to_tensor(gradient).numpy()
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(found, expected, strict=True))


def test_sandwich_training_learns_and_repeats(space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray) -> None:
    # The class is the brightest third of the image.
    codes = images.reshape(64, -1)[:, :63].astype(int).reshape(64, 3, 21).sum(axis=2).argmax(axis=1).astype(np.int32)
    lit = images.copy()
    for image, code in zip(lit.reshape(64, -1), codes, strict=True):
        image[21 * code : 21 * code + 21] = 255
    small = space.restrict({"stage0_operation": ("residual",), "stage2_operation": ("residual",)})

    def train() -> tuple[Supernet, float]:
        supernet, trainer = make(small, info)
        log = trainer.train(lit, codes, SandwichSampler(small), Limit(steps=60))
        assert log.steps == 60
        return supernet, SubnetScorer(supernet, lit, lit, codes).score(small.extreme(largest=False))

    (one, accuracy), (other, _) = train(), train()
    assert accuracy > 0.8
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
