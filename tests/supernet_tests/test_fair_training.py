"""Strict fairness and the count of gradients, counted where gradients are computed."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Decision, ImageSearchSpace
from automl_keras.supernet import SAMPLERS, FairSampler, SupernetTrainer, UniformSampler, make_sampler, make_supernet
from automl_keras.supernet.shared_conv import SharedConv
from automl_keras.training import Limit, recipe_space

Gradients = Counter[tuple[str, int, int]]


@pytest.fixture(scope="module")
def even_space() -> ImageSearchSpace:
    """One stage, two options in every decision."""
    decisions = [
        Decision("full_resolution", (1, 2)),
        Decision("stage0_operation", ("residual", "mbconv")),
        Decision("stage0_kernel", (3, 5)),
        Decision("stage0_depth", (1, 2)),
        Decision("stage0_width", (8, 16)),
    ]
    fixed = Decision("stage0_expansion", (2,), parent=("stage0_operation", ("mbconv",)))
    return ImageSearchSpace([*decisions, fixed], image_shape=(8, 8, 1), num_classes=3, num_stages=1)


@pytest.fixture(scope="module")
def counted(even_space: ImageSearchSpace, info: DatasetInfo) -> Iterator[tuple[SupernetTrainer, Gradients]]:
    """A trainer, and how many gradients flowed back through (convolution, side of the kernel, output channels)."""
    counts: Gradients = Counter()
    original = SharedConv.convolve

    def convolve(self: SharedConv, x: tf.Tensor, *, kernel: Any, out_channels: Any, **others: Any) -> tf.Tensor:
        def record(side: np.int32, width: np.int32, upstream: np.ndarray) -> np.ndarray:
            counts[self.spec.name, int(side), int(width)] += 1
            return upstream

        @tf.custom_gradient
        def hooked(x: tf.Tensor, side: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None, None]:
                recorded = tf.numpy_function(record, [side, width, upstream], upstream.dtype)
                return tf.ensure_shape(recorded, upstream.shape), None, None

            return tf.identity(x), gradient

        y = original(self, x, kernel=kernel, out_channels=out_channels, **others)
        return hooked(y, tf.identity(kernel), tf.identity(out_channels))  # sizes as tensors of the branch itself

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedConv, "convolve", convolve)
        yield SupernetTrainer(make_supernet(even_space, info), recipe_space().default(), batch_size=16), counts


def by(column: int, counts: Counter[tuple[str, int, int]], *names: str) -> dict[Any, int]:
    """The counts of some convolutions, summed over all but one of name, side and width."""
    sums: Counter[Any] = Counter()
    for key, number in counts.items():
        if key[0] in names:
            sums[key[column]] += number
    return dict(sums)


def test_every_option_gets_exactly_one_gradient_in_each_step(
    counted: tuple[SupernetTrainer, Gradients], even_space: ImageSearchSpace, images: np.ndarray, codes: np.ndarray
) -> None:
    trainer, counts = counted
    before = trainer.gradient_evaluations
    sampler = make_sampler("fair", even_space, seed=4)
    for steps in range(1, 5):
        counts.clear()
        trainer.train(images, codes, sampler, Limit(steps=steps))  # from step 0 on again, one step more each time
        last = ("s0b0_res1", "s0b0_mb3")
        assert by(0, counts, *last) == dict.fromkeys(last, steps)
        assert by(1, counts, "s0b0_res1", "s0b0_mb2") == {3: steps, 5: steps}
        assert by(2, counts, *last) == {8: steps, 16: steps}
        assert sum(by(0, counts, "s0b1_res1", "s0b1_mb1").values()) == steps  # one of the two depths has a second block
    assert trainer.gradient_evaluations - before == 2 * (1 + 2 + 3 + 4)


def test_uniform_training_is_not_fair(
    counted: tuple[SupernetTrainer, Gradients], even_space: ImageSearchSpace, images: np.ndarray, codes: np.ndarray
) -> None:
    trainer, counts = counted
    before = trainer.gradient_evaluations
    counts.clear()
    trainer.train(images, codes, UniformSampler(even_space, num_paths=2, seed=0), Limit(steps=6))
    found = by(0, counts, "stem", "s0b0_res1", "s0b0_mb3")
    assert found["stem"] == trainer.gradient_evaluations - before == 12
    assert found["s0b0_res1"] + found["s0b0_mb3"] == 12
    assert found["s0b0_res1"] != found["s0b0_mb3"]


def test_unequal_decisions_take_even_turns(space: ImageSearchSpace) -> None:
    sampler = FairSampler(space, seed=0)
    assert sampler.num_paths == 3  # the operations of the first stage; the others have one and two
    paths = [path for step in range(40) for path in sampler.draw(step)]
    for decision in space.decisions:
        if decision.parent is not None:
            continue
        for end in (1, 2, 3, 10, 60, 119):
            counts = Counter(path[decision.name] for path in paths[:end])
            turns = [counts[option] for option in decision.options]
            assert max(turns) - min(turns) <= 1, decision.name


def test_permutations_of_decisions_are_independent(even_space: ImageSearchSpace) -> None:
    sampler = FairSampler(even_space, seed=0)
    firsts = [sampler.draw(step)[0] for step in range(200)]
    triples = Counter((path["stage0_operation"], path["stage0_width"], path["stage0_depth"]) for path in firsts)
    assert len(triples) == 8 and min(triples.values()) >= 10


def test_number_of_paths_is_that_of_operations_if_there_are_any() -> None:
    def num_paths(*decisions: Decision) -> int:
        space = ImageSearchSpace(decisions, image_shape=(8, 8, 1), num_classes=3, num_stages=0)
        return FairSampler(space).num_paths

    sizes = (Decision("width", (1, 2, 3, 4)), Decision("depth", (1, 2)))
    assert num_paths(*sizes) == 4
    assert num_paths(*sizes, Decision("first_operation", ("a", "b", "c")), Decision("last_operation", ("a",))) == 3


@pytest.mark.parametrize(("name", "num_paths"), [("fair", 2), ("sandwich", 3), ("uniform", 0)])
def test_number_of_paths_is_for_the_uniform_sampler(space: ImageSearchSpace, name: str, num_paths: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"num_paths={num_paths}"):
        make_sampler(name, space, seed=0, num_paths=num_paths)


def test_samplers_say_how_many_paths_they_draw(space: ImageSearchSpace) -> None:
    for name in SAMPLERS:
        sampler = make_sampler(name, space, seed=0)
        assert len(sampler.draw(5)) == sampler.num_paths
    assert len(make_sampler("uniform", space, seed=0, num_paths=4).draw(0)) == 4
