import math
from itertools import product

import numpy as np
import pytest

from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError
from automl_keras.quantization.ilp import LinearLimit, neighbours, solve_for_file, solve_policy
from automl_keras.quantization.sensitivity import Sensitivities
from automl_keras.search_space import Architecture, Decision, SearchSpace

BITS = (2, 4, 8)


def instance(seed: int, num_layers: int = 6, num_limits: int = 1) -> tuple[Sensitivities, list[LinearLimit]]:
    """Sensitivities over five orders of magnitude, one in ten negative; whole costs; limits anywhere."""
    rng = np.random.default_rng(seed)
    rises = {
        f"l{i}": {b: float(10 ** rng.uniform(-4, 1) * np.sign(rng.random() - 0.1)) for b in BITS[:-1]} | {8: 0.0}
        for i in range(num_layers)
    }
    limits = []
    for number in range(num_limits):
        weights = rng.integers(1, 100_000, num_layers)
        costs = {f"l{i}": {b: float(weights[i] * b) for b in BITS} for i in range(num_layers)}
        total = 8 * int(weights.sum())
        limits.append(LinearLimit(costs, float(rng.integers(total // 5, total)), 1000.0, f"cost{number}"))
    return rises, limits


def every_policy(num_layers: int = 6) -> list[Architecture]:
    names = [f"l{i}" for i in range(num_layers)]
    return [Architecture(dict(zip(names, bits, strict=True))) for bits in product(BITS, repeat=num_layers)]


def rise(rises: Sensitivities, policy: Architecture) -> float:
    return math.fsum(rises[layer][bits] for layer, bits in policy.items())


@pytest.mark.parametrize("num_limits", [1, 3])
def test_as_good_as_the_best_of_all_policies(num_limits: int) -> None:
    policies, num_infeasible = every_policy(), 0
    for seed in range(25):
        rises, limits = instance(seed, num_limits=num_limits)
        within = [policy for policy in policies if all(limit.cost(policy) <= limit.limit for limit in limits)]
        if not within:
            num_infeasible += 1
            with pytest.raises(InfeasibleBudgetError):
                solve_policy(rises, limits)
            continue
        found = solve_policy(rises, limits)
        assert found in within
        assert rise(rises, found) == pytest.approx(min(rise(rises, policy) for policy in within), abs=1e-9)
    assert num_infeasible < 15


def test_a_limit_is_met_to_the_byte() -> None:
    """The limit is the cost of the best policy, then a byte less, which the solver's tolerance would let pass."""
    costs = {f"l{i}": {b: 1e7 * b + i for b in BITS} for i in range(6)}
    rises = {f"l{i}": {2: 2.0, 4: 1.0 + i, 8: 0.0} for i in range(6)}
    best = Architecture({f"l{i}": 8 if i else 4 for i in range(6)})
    exact = LinearLimit(costs, LinearLimit(costs, 0.0).cost(best))
    assert solve_policy(rises, [exact]) == best
    tighter = LinearLimit(costs, exact.limit - 1)
    assert tighter.cost(solve_policy(rises, [tighter])) <= tighter.limit


def test_without_limits_the_least_sensitive_options() -> None:
    rises = {"a": {4: -0.1, 8: 0.0}, "b": {4: 0.1, 8: 0.0}, "c": {2: math.inf, 8: 0.0}}
    assert solve_policy(rises) == Architecture({"a": 4, "b": 8, "c": 8})
    assert solve_policy({}) == Architecture({})


def test_failed_measurements_are_not_chosen() -> None:
    rises, [limit] = instance(0)
    limit = LinearLimit(limit.costs, 0.5 * limit.cost(Architecture(dict.fromkeys(rises, 8))))
    policy = solve_policy(rises, [limit])
    layer = min(policy, key=lambda name: policy[name])
    failed = {**rises, layer: {**rises[layer], policy[layer]: math.inf}}
    assert solve_policy(failed, [limit])[layer] != policy[layer]


@pytest.mark.parametrize("wrong", [{"a": {4: math.nan, 8: 0.0}}, {"a": {4: math.inf}}])
def test_what_is_no_sensitivity(wrong: Sensitivities) -> None:
    with pytest.raises(InvalidArgumentError, match="Received: sensitivities"):
        solve_policy(wrong)


def test_the_smallest_reachable_is_stated() -> None:
    """Of the options that could be measured."""
    size = LinearLimit({"a": {2: 20.0, 8: 80.0}, "b": {2: 10.0, 4: 20.0}}, 100.0, 50.0)
    assert solve_policy({"a": {2: 1.0, 8: 0.0}, "b": {2: 1.0, 4: 0.0}}, [size]) == Architecture({"a": 2, "b": 4})
    assert size.smallest == 80.0
    with pytest.raises(InfeasibleBudgetError, match=r"reached: 0.140 kB\. Received: limit=0.100 kB"):
        solve_policy({"a": {2: math.inf, 8: 0.0}, "b": {2: 1.0, 4: 0.0}}, [size])
    with pytest.raises(InfeasibleBudgetError, match=r"each alone: 0.080 kB, 2 ms"):
        time = LinearLimit({"a": {2: 1.0, 8: 2.0}, "b": {2: 1.0, 4: 2.0}}, 1.5, name="ms")
        solve_policy({"a": {2: 1.0, 8: 0.0}, "b": {2: 1.0, 4: 0.0}}, [size, time])


def test_kilobytes_are_rounded_up_and_large_numbers_are_whole() -> None:
    assert LinearLimit({}, 0.0).text(41_234.2) == "41.235 kB"
    assert LinearLimit({}, 0.0).text(41_234.0) == "41.234 kB"
    assert LinearLimit({}, 0.0, name="bit operations").text(123_456_789_012) == "123456789012 bit operations"
    assert LinearLimit({}, 0.0, name="ms").text(2.5) == "2.5 ms"


def test_costs_of_a_sum_over_the_layers() -> None:
    space = SearchSpace([Decision("a", (2, 8), default=8), Decision("b", (4, 8), default=8)])

    def size(policy: Architecture) -> float:
        return 100.0 + 3.0 * float(policy["a"]) + 5.0 * float(policy["b"])

    limit = LinearLimit.additive(size, space, 150.0)
    for bits in product((2, 8), (4, 8)):
        policy = Architecture(dict(zip("ab", bits, strict=True)))
        assert limit.cost(policy) == size(policy)
        assert limit.allows(policy) == (size(policy) <= 150.0)


@pytest.mark.parametrize("overhead", [-200_000, 0, 40_000])
def test_the_real_file_decides(overhead: int) -> None:
    """Files that are larger than predicted lead to a tighter programme, smaller ones to more bits."""
    for seed in range(10):
        rises, [size] = instance(seed)
        largest = size.cost(Architecture(dict.fromkeys(rises, 8)))

        def measure(policy: Architecture, size: LinearLimit = size) -> float:
            steps = sum(policy[layer] == 4 for layer in policy)
            return size.cost(policy) + overhead + 700.0 * steps

        size = LinearLimit(size.costs, 0.6 * largest, size.constant)
        policy = solve_for_file(rises, size, measure)
        assert measure(policy) <= size.limit
        for layer in policy:  # no layer that gains can be raised
            for bits in BITS[BITS.index(policy[layer]) + 1 :]:  # type: ignore[arg-type]
                if rises[layer][bits] < rises[layer][policy[layer]]:
                    assert measure(Architecture({**policy, layer: bits})) > size.limit


def test_no_file_fits() -> None:
    rises, [size] = instance(0)
    limit = LinearLimit(size.costs, size.smallest + 100.0, size.constant)
    with pytest.raises(InfeasibleBudgetError, match=f"has {(size.smallest + 101) / 1000:.3f} kB"):
        solve_for_file(rises, limit, lambda policy: size.cost(policy) + 101.0)
    found = solve_for_file(rises, limit, lambda policy: size.cost(policy) + 100.0)
    assert found == Architecture(dict.fromkeys(rises, 2))


def test_other_limits_hold_when_layers_are_raised() -> None:
    rises, [size, other] = instance(3, num_limits=2)
    largest = Architecture(dict.fromkeys(rises, 8))
    other = LinearLimit(other.costs, 0.7 * other.cost(largest), name="ms")
    policy = solve_for_file(rises, LinearLimit(size.costs, size.cost(largest)), size.cost, [other])
    assert other.allows(policy)


def test_neighbours_come_in_order_and_fit() -> None:
    rises, [size] = instance(1, num_layers=4)
    policy = Architecture({"l0": 8, "l1": 4, "l2": 2, "l3": 8})
    found = list(neighbours(policy, rises, lambda other: size.cost(other) < size.cost(policy)))
    assert len(set(found)) == len(found)
    assert set(found) == {
        other
        for other in every_policy(4)
        if 1 <= sum(other[n] != policy[n] for n in policy) <= 2 and size.cost(other) < size.cost(policy)
    }
    order = [rise(rises, other) for other in found]
    assert order == pytest.approx(sorted(order))
