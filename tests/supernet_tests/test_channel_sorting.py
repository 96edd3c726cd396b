from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidTypeError
from automl_keras.search_space import Architecture, ImageSearchSpace, macro_space
from automl_keras.supernet import ImageSupernet, Round, make_supernet
from automl_keras.supernet.channel_sorting import shared_channels, sort_channels
from automl_keras.supernet.rounds import prepare_round

NOTHING_SMALLER = {
    f"stage{s}_{size}": (largest,) for s in range(2) for size, largest in (("width", 6), ("expansion", 4))
}
FIRST_HALF = {f"stage{s}_{size}": kept for s in range(2) for size, kept in (("width", (6, 4)), ("expansion", (4,)))}


@pytest.fixture
def supernet(elastic_space: ImageSearchSpace, info: DatasetInfo) -> ImageSupernet:
    """All weights and statistics are random: each of them counts, and none is as another."""
    supernet = ImageSupernet(elastic_space, info, seed=0, kernel_transform=True)
    supernet.build()
    rng = np.random.default_rng(0)
    for variable in supernet.weights:
        if variable is not supernet.architecture_code:
            variable.assign(variable.numpy() + rng.uniform(0.1, 0.5, variable.shape))
    return supernet


def architectures(
    space: ImageSearchSpace, widths: tuple[int, ...], expansions: tuple[int, ...]
) -> Iterator[Architecture]:
    rng = np.random.default_rng(1)
    sizes = {f"stage{s}_width": widths for s in range(2)} | {f"stage{s}_expansion": expansions for s in range(2)}
    part = space.restrict(sizes)
    for first in space["stage0_operation"].options:
        for second in space["stage1_operation"].options:
            yield part.canonical({**part.sample(rng), "stage0_operation": first, "stage1_operation": second})


def changes(supernet: ImageSupernet, chosen: list[Architecture], images: np.ndarray, trained: dict) -> np.ndarray:
    """How far sorting moves the outputs of each architecture, relative to their spread over the images."""

    def outputs() -> np.ndarray:
        encoded = [tf.constant(supernet.space.encode(architecture)) for architecture in chosen]
        return np.stack([supernet.forward(tf.constant(images), code, "evaluate").numpy() for code in encoded])

    before = outputs()
    sort_channels(supernet, trained)
    return np.abs(outputs() - before).max(axis=(1, 2)) / before.std(axis=(1, 2))


def test_the_full_network_computes_what_it_did(supernet: ImageSupernet, images: np.ndarray) -> None:
    full = list(architectures(supernet.space, (6,), (4,)))
    weights = supernet.get_weights()
    assert changes(supernet, full, images, NOTHING_SMALLER).max() < 1e-4
    moved = [not np.array_equal(a, b) for a, b in zip(weights, supernet.get_weights(), strict=True)]
    assert np.mean(moved) > 0.8  # all but the matrices, the bias and the code, as luck will have it


def test_subnets_at_the_boundaries_compute_what_they_did(supernet: ImageSupernet, images: np.ndarray) -> None:
    space = supernet.space
    halfway = [*architectures(space, (4, 6), (4,)), *architectures(space, (4,), (4,))]
    smaller = list(architectures(space, (2,), (2,)))
    change = changes(supernet, [*halfway, *smaller], images, FIRST_HALF)
    assert change[: len(halfway)].max() < 1e-4
    assert change[len(halfway) :].min() > 1e-2  # their channels were sorted
    # All sizes are trained: nothing that any subnet computes may change.
    assert changes(supernet, [*halfway, *smaller], images, {}).max() < 1e-4


def test_without_boundaries_trained_subnets_would_change(supernet: ImageSupernet, images: np.ndarray) -> None:
    halfway = list(architectures(supernet.space, (4,), (4,)))
    assert changes(supernet, halfway, images, NOTHING_SMALLER).min() > 1e-2


def test_importance_falls_within_each_group(supernet: ImageSupernet) -> None:
    sort_channels(supernet, FIRST_HALF)
    projection = np.abs(supernet.conv("s1b0_mb3").kernel.numpy()).sum(axis=(0, 1, 3))  # 4 * 4 of 6 * 4 are trained
    assert len(projection) == 24
    for group in (projection[:16], projection[16:]):
        assert np.all(np.diff(group) <= 0)
    head = np.abs(supernet.head_kernel.numpy()).sum(axis=1)
    readers = [np.abs(supernet.conv(f"s1b1_{name}").kernel.numpy()).sum(axis=(0, 1, 3)) for name in ("res1", "mb1")]
    width = head + sum(readers)
    assert np.all(np.diff(width[:4]) <= 0) and np.all(np.diff(width[4:]) <= 0)


def test_every_channel_of_every_weight_is_sorted_once(supernet: ImageSupernet) -> None:
    written, read = [], []
    for channels in shared_channels(supernet, {}):
        written += [conv.spec.name for conv in channels.writers]
        read += [kernel.path for kernel, _ in channels.readers]
    convs = [conv for convs in supernet.block_specs.values() for conv in convs]
    assert sorted(written) == sorted(["stem", *(conv.name for conv in convs)])
    readers = [supernet.conv(conv.name).kernel.path for conv in convs if conv.kind == "conv"]
    assert sorted(read) == sorted([supernet.head_kernel.path, *readers])


def test_a_round_sorts_within_what_the_one_before_has_trained(supernet: ImageSupernet) -> None:
    given = supernet.get_weights()
    sort_channels(supernet, FIRST_HALF)
    wanted = supernet.get_weights()

    def prepared(planned: Round, previous: Round | None) -> list[np.ndarray]:
        supernet.set_weights(given)
        prepare_round(supernet, planned, previous)
        return supernet.get_weights()

    trained, sorting = Round("uniform", options=FIRST_HALF), Round("uniform", sort_channels=True)
    for found, expected in (
        (prepared(sorting, trained), wanted),
        (prepared(sorting, None), given),
        (prepared(trained, trained), given),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    prepare_round(supernet, sorting, trained)
    once = supernet.get_weights()
    prepare_round(supernet, sorting, trained)
    assert all(np.array_equal(a, b) for a, b in zip(once, supernet.get_weights(), strict=True))


def test_channels_of_other_supernets_cannot_be_sorted(info: DatasetInfo) -> None:
    supernet = make_supernet(macro_space((8, 8, 1), 3), info)
    with pytest.raises(InvalidTypeError, match="MacroSupernet"):
        prepare_round(supernet, Round("uniform", sort_channels=True), Round("uniform"))
