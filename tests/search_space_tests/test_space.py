import itertools
import json

import numpy as np
import pytest

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError
from automl_keras.search_space import Architecture, Decision, SearchSpace


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        [
            Decision("operation", ("conv", "mbconv", "pool")),
            Decision("kernel", (3, 5), parent=("operation", ("conv", "mbconv"))),
            Decision("expansion", (2, 4, 6), default=4, parent=("operation", ("mbconv",))),
            Decision("width", (8, 16)),
        ]
    )


def all_architectures(space: SearchSpace) -> set[Architecture]:
    product = itertools.product(*(decision.options for decision in space.decisions))
    return {space.canonical(dict(zip(space.names, values, strict=True))) for values in product}


def test_size_counts_distinct_architectures(space: SearchSpace) -> None:
    assert space.size == (2 + 2 * 3 + 1) * 2 == len(all_architectures(space))


def test_canonical_fills_defaults_and_drops_inactive_decisions(space: SearchSpace) -> None:
    assert space.canonical({}) == Architecture({"operation": "conv", "kernel": 3, "width": 8})
    assert space.canonical({"operation": "mbconv"})["expansion"] == 4
    assert dict(space.canonical({"operation": "pool", "kernel": 5})) == {"operation": "pool", "width": 8}


def test_canonical_returns_the_options_own_type(space: SearchSpace) -> None:
    kernel = space.canonical({"kernel": np.int64(5)})["kernel"]
    assert type(kernel) is int
    json.dumps(space.canonical({"width": 16.0}).to_dict())


@pytest.mark.parametrize("values", [{"kernel": 7}, {"depth": 1}])
def test_canonical_refuses_what_is_not_in_the_space(space: SearchSpace, values: dict) -> None:
    with pytest.raises(InvalidArchitectureError, match="Received"):
        space.canonical(values)


def test_samples_reach_every_architecture(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    assert {space.sample(rng) for _ in range(600)} == all_architectures(space)


def test_mutation_changes_one_decision_and_reaches_every_neighbour(space: SearchSpace) -> None:
    start = space.canonical({"operation": "mbconv", "kernel": 3, "expansion": 2, "width": 8})
    rng = np.random.default_rng(0)
    found = {space.mutate(start, rng) for _ in range(400)}
    assert start not in found
    for mutant in found:
        shared = set(start) & set(mutant)
        assert sum(start[name] != mutant[name] for name in shared) == 1
    changed = [{name for name in start if mutant.get(name) != start[name]} for mutant in found]
    assert {"width"} in changed and {"kernel"} in changed and {"expansion"} in changed


def test_mutation_returns_the_same_when_nothing_can_change() -> None:
    space = SearchSpace([Decision("a", (1,))])
    assert space.mutate(space.default(), np.random.default_rng(0)) == space.default()


def test_crossover_takes_each_decision_from_a_parent(space: SearchSpace) -> None:
    first = space.canonical({"operation": "mbconv", "kernel": 3, "expansion": 6, "width": 8})
    second = space.canonical({"operation": "conv", "kernel": 5, "width": 16})
    rng = np.random.default_rng(0)
    children = {space.crossover(first, second, rng) for _ in range(200)}
    assert len(children) > 4
    for child in children:
        assert all(child[name] in (first.get(name), second.get(name)) for name in child)


def test_encode_marks_inactive_decisions(space: SearchSpace) -> None:
    assert space.encode(space.canonical({"operation": "pool", "width": 16})).tolist() == [2, -1, -1, 1]


def test_restrict_keeps_types_and_drops_unreachable_children(space: SearchSpace) -> None:
    small = space.restrict({"operation": ("pool", "conv"), "width": (16,)})
    assert small.names == ("operation", "kernel", "width")
    assert small.default() == Architecture({"operation": "conv", "kernel": 3, "width": 16})
    assert all_architectures(small) < all_architectures(space)
    with pytest.raises(InvalidArgumentError, match="Received: width="):
        space.restrict({"width": (32,)})


def test_json_round_trip(space: SearchSpace) -> None:
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    architecture = space.canonical({"operation": "mbconv"})
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


def test_architectures_are_hashable_and_immutable(space: SearchSpace) -> None:
    first = Architecture({"a": 1, "b": 2})
    assert first == Architecture({"b": 2, "a": 1}) and hash(first) == hash(Architecture({"b": 2, "a": 1}))
    with pytest.raises(TypeError):
        first["a"] = 2  # type: ignore[index]


def test_hyperparameters_have_the_same_conditions(space: SearchSpace) -> None:
    hp = space.to_hyperparameters()
    assert dict(hp.values) == space.default().to_dict()
    hp.values["operation"] = "mbconv"
    assert hp.is_active("expansion")
    hp.values["operation"] = "pool"
    assert not hp.is_active("kernel")


def test_hyperparameters_nest_conditions_of_grandchildren() -> None:
    space = SearchSpace(
        [
            Decision("a", ("x", "y")),
            Decision("b", (1, 2), parent=("a", ("y",))),
            Decision("c", (True, False), parent=("b", (2,))),
        ]
    )
    hp = space.to_hyperparameters()
    assert space.declare(hp) == Architecture({"a": "x"})
    hp.values.update(a="y", b=2, c=False)
    assert space.declare(hp) == Architecture({"a": "y", "b": 2, "c": False})


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([Decision("a", (1,)), Decision("a", (1,))], "unique"),
        ([Decision("b", (1,), parent=("a", (1,)))], "parent='a'"),
        ([Decision("a", (1,)), Decision("b", (1,), parent=("a", (2,)))], "Parent values"),
    ],
)
def test_impossible_spaces_are_refused(decisions: list[Decision], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        SearchSpace(decisions)


@pytest.mark.parametrize(
    ("options", "default"), [((), None), ((1, 1), None), ((1, "a"), None), ((1, True), None), ((1, 2), 3)]
)
def test_impossible_decisions_are_refused(options: tuple, default: object) -> None:
    with pytest.raises(InvalidArgumentError, match="Received"):
        Decision("a", options, default)  # type: ignore[arg-type]
