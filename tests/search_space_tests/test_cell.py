import itertools
import json
import math
from collections.abc import Iterator

import numpy as np
import pytest

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError
from automl_keras.search_space import Architecture
from automl_keras.search_space.cell import CELL_OPERATIONS, FIELDS, CellSpace, cell_space


def all_values(space: CellSpace) -> Iterator[dict]:
    """Every assignment with the largest number of blocks."""
    last = space["num_blocks"].options[-1:]
    product = itertools.product(last, *(decision.options for decision in space.decisions[1:]))
    return (dict(zip(space.names, values, strict=True)) for values in product)


def cell(*blocks: tuple) -> dict:
    values = {
        f"block{index}_{field}": value
        for index, block in enumerate(blocks)
        for field, value in zip(FIELDS, block, strict=True)
    }
    return {"num_blocks": len(blocks), **values}


def blocks_of(values: dict) -> list[tuple]:
    return [tuple(values[f"block{index}_{field}"] for field in FIELDS) for index in range(values["num_blocks"])]


def graph(values: dict) -> frozenset:
    """Stands for the graph whatever the numbering: all ways to number its blocks anew, halves unordered."""
    blocks = blocks_of(values)
    ways = []
    for order in itertools.permutations(range(len(blocks))):
        number = {-2: -2, -1: -1, **dict(enumerate(order))}
        renumbered = {}
        for index, (input1, operation1, input2, operation2) in enumerate(blocks):
            renumbered[order[index]] = tuple(sorted([(number[input1], operation1), (number[input2], operation2)]))
        ways.append(tuple(renumbered[index] for index in range(len(blocks))))
    return frozenset(ways)


def test_paper_space_has_136_cells_of_one_block() -> None:
    space = cell_space(1)
    assert len(CELL_OPERATIONS) == 8
    assert len(set(map(space.canonical, all_values(space)))) == 136
    assert space.size == 256
    assert space == cell_space().restrict({"num_blocks": [1]})


def test_number_of_cells_of_two_blocks() -> None:
    # With m pairs of input and operation there are m(m + 1)/2 blocks. Two that do not depend on each other
    # are an unordered pair, else one comes first and the other has its output for an input at least once.
    independent, dependent = math.comb(4 + 1, 2), math.comb(6 + 1, 2) - math.comb(4 + 1, 2)
    space = cell_space(2, ("pool", "conv"))
    found = set(map(space.canonical, all_values(space)))
    assert len(found) == independent * (independent + 1) // 2 + independent * dependent == 165


@pytest.mark.parametrize(("num_blocks", "operations"), [(2, ("pool", "conv")), (3, ("conv",))])
def test_same_architecture_exactly_where_same_graph(num_blocks: int, operations: tuple[str, ...]) -> None:
    space = cell_space(num_blocks, operations)
    pairs = {(space.canonical(values), graph(values)) for values in all_values(space)}
    assert all(graph(dict(architecture)) == meant for architecture, meant in pairs)
    assert len({architecture for architecture, _ in pairs}) == len({meant for _, meant in pairs}) == len(pairs)


def test_canonical_form_is_the_first_in_order() -> None:
    space = cell_space(3, ("conv", "pool"))
    values = cell((-1, "pool", -1, "conv"), (-1, "pool", -2, "conv"), (1, "conv", 0, "pool"))
    expected = cell((-2, "conv", -1, "pool"), (-1, "conv", -1, "pool"), (0, "conv", 1, "pool"))
    assert space.canonical(values) == Architecture(expected)
    assert list(space.canonical(values)) == list(space.names)


def test_twins_with_different_users() -> None:
    space = cell_space(4, ("conv", "pool"))
    twins = [(-2, "conv", -2, "conv")] * 2
    one = space.canonical(cell(*twins, (0, "conv", 0, "conv"), (1, "pool", 1, "pool")))
    assert one == space.canonical(cell(*twins, (1, "conv", 1, "conv"), (0, "pool", 0, "pool")))
    assert one == space.canonical(cell(*twins, (0, "pool", 0, "pool"), (1, "conv", 1, "conv")))
    assert one != space.canonical(cell(*twins, (0, "conv", 0, "conv"), (0, "pool", 0, "pool")))


def test_moves_stay_canonical() -> None:
    space, rng = cell_space(5), np.random.default_rng(0)
    first, second = space.sample(rng), space.sample(rng)
    for _ in range(100):
        first, second = space.mutate(second, rng), space.crossover(first, second, rng)
        for architecture in (first, second):
            assert space.canonical(architecture) == architecture


def test_default_and_encoding() -> None:
    space = cell_space(2)
    assert dict(space.default()) == cell((-2, CELL_OPERATIONS[0], -2, CELL_OPERATIONS[0]))
    assert space.encode(space.default()).tolist() == [0, 0, 0, 0, 0, -1, -1, -1, -1]
    with pytest.raises(InvalidArchitectureError, match="block0_input1=0"):
        space.canonical({"block0_input1": 0})


def test_restricted_space_holds_what_its_options_can_write() -> None:
    full = cell_space(2, ("conv", "pool"))
    kept = {"block0_operation1": ["pool"], "block1_input1": [0], "num_blocks": [2]}
    space = full.restrict(kept)
    assert isinstance(space, CellSpace)
    found = set()
    for values in all_values(space):
        architecture = space.canonical(values)
        assert space.canonical(architecture) == architecture
        assert full.canonical(architecture) == full.canonical(values)
        found.add(architecture)
    assert len(found) == len({full.canonical(architecture) for architecture in found})
    assert space.canonical(cell((-1, "pool", -2, "conv"), (0, "conv", 0, "conv")))["block0_input1"] == -1


def test_json_round_trip() -> None:
    space = cell_space(3).restrict({"num_blocks": [2, 3], "block0_operation2": ["identity", "max_pool_3x3"]})
    copy = CellSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert type(copy) is CellSpace
    assert copy == space
    architecture = space.sample(np.random.default_rng(0))
    assert copy.canonical(json.loads(json.dumps(architecture.to_dict()))) == architecture


@pytest.mark.parametrize(("arguments", "received"), [((0,), "num_blocks=0"), ((1, ()), "options="), ((1, "aa"), "'a'")])
def test_arguments_are_checked(arguments: tuple, received: str) -> None:
    with pytest.raises(InvalidArgumentError, match=received):
        cell_space(*arguments)
