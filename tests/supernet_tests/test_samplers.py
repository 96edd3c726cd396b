from collections import Counter

import pytest

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.search_space import ImageSearchSpace, macro_space
from automl_keras.supernet import LargestSampler, SandwichSampler, UniformSampler, make_sampler


def test_sandwich_is_largest_smallest_and_random_over_the_same_operations(space: ImageSearchSpace) -> None:
    sampler = SandwichSampler(space, num_random=2, seed=3)
    for step in range(20):
        largest, smallest, *others = sampler.draw(step)
        assert len(others) == 2
        for name, option in largest.items():
            if name.endswith("_operation"):
                assert all(path[name] == option for path in (smallest, *others))
            else:
                assert option == max(space[name].options)
                assert smallest[name] == min(space[name].options)


def test_operations_take_fair_turns(space: ImageSearchSpace) -> None:
    sampler = SandwichSampler(space, seed=0)
    for first in range(0, 30, 3):
        turns = [sampler.operations(step)["stage0_operation"] for step in range(first, first + 3)]
        assert sorted(turns) == sorted(space["stage0_operation"].options)


def test_operations_of_stages_are_combined_in_many_ways(space: ImageSearchSpace) -> None:
    sampler = SandwichSampler(space, seed=0)
    pairs = Counter((o["stage0_operation"], o["stage2_operation"]) for o in map(sampler.operations, range(60)))
    assert len(pairs) == 6


def test_uniform_sampler_reaches_every_option(space: ImageSearchSpace) -> None:
    sampler = UniformSampler(space, seed=0)
    seen = {item for step in range(200) for item in sampler.draw(step)[0].items()}
    assert seen == {(decision.name, option) for decision in space.decisions for option in decision.options}


@pytest.mark.parametrize("name", ["largest", "sandwich", "uniform"])
def test_steps_are_repeatable_in_any_order(space: ImageSearchSpace, name: str) -> None:
    sampler, again = make_sampler(name, space, seed=1), make_sampler(name, space, seed=1)
    forward = [sampler.draw(step) for step in range(6)]
    backward = [again.draw(step) for step in reversed(range(6))]
    assert forward == backward[::-1]
    assert forward != [make_sampler(name, space, seed=2).draw(step) for step in range(6)]


def test_largest_sampler_draws_largest_sizes(space: ImageSearchSpace) -> None:
    for step in range(6):
        [path] = LargestSampler(space).draw(step)
        assert all(path[n] == max(space[n].options) for n in path if not n.endswith("_operation"))


def test_unknown_sampler_is_refused(space: ImageSearchSpace) -> None:
    with pytest.raises(InvalidArgumentError, match="sampler='best'"):
        make_sampler("best", space, seed=0)


@pytest.mark.parametrize("name", ["largest", "sandwich"])
def test_sizes_are_needed_to_order_networks_by_them(name: str) -> None:
    with pytest.raises(InvalidTypeError, match="orders networks by size"):
        make_sampler(name, macro_space((8, 8, 1), 3), seed=0)
    assert len(make_sampler("fair", macro_space((8, 8, 1), 3), seed=0).draw(0)) == 6  # one for each operation
