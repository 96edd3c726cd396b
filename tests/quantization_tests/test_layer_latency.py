"""Times of layers' bits, on a runtime whose times are a sum over the layers."""

import json
import math
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest

from automl_keras.errors import ExportError, InfeasibleBudgetError
from automl_keras.evaluation import Budget
from automl_keras.export.child import ChildRuntime
from automl_keras.quantization import layer_latency
from automl_keras.quantization.ilp import solve_policy
from automl_keras.quantization.layer_latency import LEAST_ROUNDS, ROUNDS, latency_limit
from automl_keras.quantization.mixed_precision import MixedPrecision
from automl_keras.search_space import Architecture, Decision, SearchSpace
from tests.quantization_tests.networks import INFO, general_network, pixels

SPACE = SearchSpace([Decision("slow", (2, 4, 8), default=8), Decision("fast", (4, 8), default=8)])
CHANGES: dict[tuple[str, Any], float] = {("slow", 2): 0.4, ("slow", 4): 0.1, ("fast", 4): -0.15}
WHOLE = 2.0
RISES = {"slow": {2: 0.3, 4: 0.1, 8: 0.0}, "fast": {4: 0.2, 8: 0.0}}


class ToyFiles:
    """A file is its policy, as JSON."""

    space = SPACE

    def export(self, policy: Architecture) -> bytes:
        return json.dumps(dict(policy)).encode()


class ToyRuntime:
    """Milliseconds are a sum over the layers, times a speed that varies from call to call.

    Args:
        noise: How much the speed varies.
        fails: A layer and an option whose files cannot be run.
        slowness: Of the process that times files.
    """

    def __init__(self, noise: float = 0.0, fails: tuple[str, Any] | None = None, slowness: float = 1.0) -> None:
        self.rng = np.random.default_rng(0)
        self.noise = noise
        self.slowness = slowness
        self.fails = fails
        self.timed: Counter[bytes] = Counter()

    def measure_latency(self, data: bytes, *, seconds: float) -> float:
        self.timed[data] += 1
        policy = json.loads(data)
        if self.fails is not None and policy[self.fails[0]] == self.fails[1]:
            raise ExportError("planted")
        exact = WHOLE + sum(CHANGES.get(change, 0.0) for change in policy.items())
        return self.slowness * exact * float(np.exp(self.noise * self.rng.normal()))


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file with all layers at their largest takes in this process."""
    monkeypatch.setattr(layer_latency, "median_latency", lambda file: WHOLE)


def limit_of(runtime: ToyRuntime, milliseconds: float = 2.0, **settings: Any) -> Any:
    files: Any = ToyFiles()
    toy: Any = runtime
    return latency_limit(files, toy, milliseconds, **settings)


def test_costs_are_the_changes_of_single_layers() -> None:
    limit = limit_of(ToyRuntime())
    for slow, fast in product((2, 4, 8), (4, 8)):
        expected = WHOLE + CHANGES.get(("slow", slow), 0.0) + CHANGES.get(("fast", fast), 0.0)
        assert limit.cost({"slow": slow, "fast": fast}) == pytest.approx(expected)
    assert (limit.name, limit.limit) == ("ms", pytest.approx(1.96))


def test_disturbed_moments_do_not_count() -> None:
    """Nor how fast the process is that times the files: it only gives ratios."""
    limit = limit_of(ToyRuntime(noise=0.02, slowness=1.5))
    assert limit.constant == pytest.approx(WHOLE, rel=0.001)
    for (layer, option), change in CHANGES.items():
        assert limit.costs[layer][option] == pytest.approx(change, abs=0.06)


def test_the_programme_keeps_the_time() -> None:
    """Slower bits, which the size asks for, are paid for by a layer that is faster with few."""
    sizes = {"slow": {2: 2.0, 4: 4.0, 8: 8.0}, "fast": {4: 4.0, 8: 8.0}}
    size = layer_latency.LinearLimit(sizes, 12.0)
    assert solve_policy(RISES, [size]) == Architecture({"slow": 4, "fast": 8})
    assert solve_policy(RISES, [size, limit_of(ToyRuntime(), 2.0)]) == Architecture({"slow": 8, "fast": 4})
    with pytest.raises(InfeasibleBudgetError, match=r"each alone: 0.006 kB, 1\.85 ms"):
        solve_policy(RISES, [size, limit_of(ToyRuntime(), 1.0)])


def test_what_cannot_be_timed_is_not_chosen() -> None:
    runtime = ToyRuntime(fails=("fast", 4))
    limit = limit_of(runtime, 3.0)
    assert limit.costs["fast"][4] == math.inf
    assert runtime.timed[ToyFiles().export(SPACE.canonical({"fast": 4}))] == 1
    cheap = {"slow": {2: 0.0, 4: 0.0, 8: 0.0}, "fast": {4: -1.0, 8: 0.0}}
    assert solve_policy(cheap, [limit])["fast"] == 8
    with pytest.raises(ExportError, match="planted"):
        limit_of(ToyRuntime(fails=("fast", 8)))


def test_late_nothing_but_the_largest_is_known() -> None:
    runtime = ToyRuntime()
    limit = limit_of(runtime, is_late=lambda: True)
    assert limit.costs == {"slow": {2: math.inf, 4: math.inf, 8: 0.0}, "fast": {4: math.inf, 8: 0.0}}
    assert limit.smallest == WHOLE


@pytest.mark.parametrize(("seconds", "rounds"), [(0.1, ROUNDS), (60.0, LEAST_ROUNDS)])
def test_slow_networks_are_timed_less_often(monkeypatch: pytest.MonkeyPatch, seconds: float, rounds: int) -> None:
    runtime = ToyRuntime()
    monkeypatch.setattr(layer_latency.time, "monotonic", lambda: seconds * runtime.timed.total() / 4)  # 4 files a round
    limit_of(runtime)
    largest = ToyFiles().export(SPACE.default())
    assert runtime.timed.pop(largest) == rounds + 1
    assert set(runtime.timed.values()) == {rounds}


@pytest.mark.parametrize("search", ["ilp", "evolution"])
def test_a_search_keeps_a_latency(monkeypatch: pytest.MonkeyPatch, search: str) -> None:
    """Of a real network, on a runtime that is slower the smaller the file: no layer can be lowered by much."""
    x, codes = pixels(20), np.random.default_rng(0).integers(0, 4, 20)
    network = MixedPrecision(general_network(), INFO, x, bits=(4, 8), seed=0)
    largest = network.measured_size(network.widest)
    monkeypatch.setattr(ChildRuntime, "measure_latency", lambda self, data, *, seconds: largest / len(data))
    monkeypatch.setattr(layer_latency, "median_latency", lambda file: 1.0)
    assert layer_latency.MARGIN > 0.97
    found = network.search(search, Budget(max_latency_ms=1.05), x, codes, trials=3)
    assert found
    for evaluation in found:
        assert largest / network.measured_size(evaluation.architecture) <= 1.05
    with pytest.raises(InfeasibleBudgetError, match=r"reached: 1 ms\. Received: limit=0\.931 ms"):
        network.search(search, Budget(max_latency_ms=0.95), x, codes)
