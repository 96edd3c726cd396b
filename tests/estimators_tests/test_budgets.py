"""Budgets are hard: what a file needs is measured here without the package's own check."""

import gzip
import math
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.data import DatasetInfo, prepare_data
from automl_keras.errors import InfeasibleBudgetError, SearchError
from automl_keras.estimators import latency
from automl_keras.estimators.default_network import smallest_networks
from automl_keras.estimators.latency import LatencyLimit
from automl_keras.estimators.spaces import NetworkSpaces
from automl_keras.evaluation import CostPredictor
from automl_keras.export import measure_file, median_latency, report
from automl_keras.search_space import ImageSearchSpace, image_space

LIMITS = ("max_size_kb", "max_latency_ms", "max_ram_kb", "max_macs", "max_params")
FASHION = Path("/usr/share/datasets/fashion-mnist")
Data = tuple[np.ndarray, np.ndarray]


def digits() -> Data:
    data = load_digits()
    return data.images[:400], data.target[:400]


def fashion() -> Data:
    if not FASHION.is_dir():
        (x, y), _ = keras.datasets.fashion_mnist.load_data()
        return x[:400], y[:400]
    x = np.frombuffer(gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    y = np.frombuffer(gzip.decompress((FASHION / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return x.reshape(-1, 28, 28)[:400], y[:400]


def colours() -> Data:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 4
    noise = rng.integers(0, 120, (240, 32, 32, 3))
    return np.clip(noise + rng.integers(0, 140, (4, 1, 1, 3))[y], 0, 255).astype(np.uint8), y


def counted(model: keras.Model) -> dict[str, float]:
    """Weights with BatchNorm folded into biases, and multiply-accumulate operations for one image."""
    params = macs = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            params += layer.gamma.shape[0]
        elif layer.weights:
            params += sum(math.prod(weight.shape) for weight in layer.weights)
            positions = layer.output.shape[1:3] if len(layer.output.shape) == 4 else ()
            macs += math.prod(layer.kernel.shape) * math.prod(positions)
    return {"max_params": params, "max_macs": macs}


def broken(budget: Budget, classifier: ImageClassifier) -> list[str]:
    """The limits that the exported file does not keep; its time is left to the callers."""
    path, model = classifier.tflite_path_, classifier.export_model()
    image = np.zeros((1, *model.input_shape[1:]), np.float32)
    ram = measure_file(path, image, np.zeros(1), keras_predictions=model.predict_on_batch(image)).ram_kb
    needed = {**counted(model), "max_size_kb": path.stat().st_size / 1000, "max_ram_kb": ram, "max_latency_ms": 0.0}
    return [f"{name}: {needed[name]} > {limit}" for name, limit in budget.limits().items() if needed[name] > limit]


# The machine of the fast tests: what a file takes depends on its size, and on what else the machine does.


class NoisyDevice:
    """Takes a millisecond for 10 kB, and up to `noise` times that longer."""

    def __init__(self, noise: float) -> None:
        self.noise = noise
        self.rng = np.random.default_rng(0)
        self.times: dict[bytes, list[float]] = defaultdict(list)

    def latency(self, source: bytes) -> float:
        milliseconds = len(source) / 10_000 * (1 + self.noise * self.rng.random())
        self.times[source].append(milliseconds)
        return milliseconds


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> NoisyDevice:
    machine = NoisyDevice(noise=0.3)
    monkeypatch.setattr(report, "median_latency", machine.latency)
    monkeypatch.setattr(latency, "median_latency", machine.latency)
    return machine


def small_space() -> ImageSearchSpace:
    """Networks of one block a stage, which are quickly built."""
    space = image_space((8, 8, 1), 10)
    return space.restrict({f"stage{stage}_depth": (1,) for stage in range(space.num_stages)})


def fitted(data: Data, budget: Budget, **settings: object) -> ImageClassifier:
    classifier = ImageClassifier(budget=budget, max_trials=1, seed=0, verbose=0, **settings)  # type: ignore[arg-type]
    return classifier.fit(*data, epochs=1)


@pytest.mark.parametrize(
    "budget", [Budget(max_size_kb=14, max_latency_ms=1.5), Budget(max_ram_kb=3.2, max_macs=150_000, max_params=4_000)]
)
def test_the_file_keeps_every_limit(device: NoisyDevice, budget: Budget) -> None:
    classifier = fitted(digits(), budget, search_space=small_space())
    assert broken(budget, classifier) == []
    if budget.max_latency_ms is not None:
        assert classifier.report_.latency_ms in device.times[classifier.tflite_path_.read_bytes()]
        assert classifier.report_.latency_ms <= budget.max_latency_ms


def test_a_device_that_is_too_slow_is_told_before_training(device: NoisyDevice, tmp_path: Path) -> None:
    budget = Budget(max_latency_ms=0.2, max_size_kb=100)
    with pytest.raises(InfeasibleBudgetError, match=r"needs latency_ms=0\.\d+ on .*Received: max_latency_ms=0\.2"):
        fitted(digits(), budget, search_space=small_space(), directory=tmp_path)
    assert not list(tmp_path.rglob("*.tflite"))


@pytest.mark.parametrize(("again", "allowed"), [(0.9, True), (1.1, False)])
def test_one_disturbed_measurement_refuses_no_network(
    monkeypatch: pytest.MonkeyPatch, again: float, allowed: bool
) -> None:
    prepared, space = prepare_data(*digits(), seed=0), small_space()
    spaces = NetworkSpaces(prepared.info, space)
    limit = LatencyLimit(1.0, spaces, prepared.train.images, seconds=None, seed=0)
    milliseconds = iter([9.0, again])
    monkeypatch.setattr(latency, "median_latency", lambda source: next(milliseconds))
    assert limit.allows(space.default()) == allowed


# Every data set with 20 drawn budgets.


class Case:
    """A data set, and what its smallest and its usual networks need."""

    def __init__(self, data: Data) -> None:
        self.data = data
        prepared = prepare_data(*data, seed=0)
        self.info: DatasetInfo = prepared.info
        self.space = image_space(self.info.image_shape, self.info.num_classes)
        predict_cost = CostPredictor(self.space, self.info)
        spaces = NetworkSpaces(self.info, self.space)
        timer = LatencyLimit(1.0, spaces, prepared.train.images, seconds=None, seed=0)
        smallest = [predict_cost(architecture).to_dict() for architecture in smallest_networks(self.space)]
        usual = predict_cost(self.space.default()).to_dict()
        times = timer.measure(smallest_networks(self.space)[0]), timer.measure(self.space.default())
        self.ranges = {
            name: (min(cost[name.removeprefix("max_")] for cost in smallest), 1.5 * usual[name.removeprefix("max_")])
            for name in LIMITS
            if name != "max_latency_ms"
        }
        self.ranges["max_latency_ms"] = (times[0], 1.5 * times[1])

    def draw(self, number: int) -> Budget:
        rng = np.random.default_rng(number)
        chosen = rng.choice(LIMITS, size=rng.integers(1, len(LIMITS) + 1), replace=False)
        limits = {name: self._between(*self.ranges[name], rng.random()) for name in chosen}
        return Budget(**limits)  # type: ignore[arg-type]

    @staticmethod
    def _between(low: float, high: float, share: float) -> float:
        return low * (max(high, low) / low) ** share


@pytest.fixture(scope="module", params=[digits, fashion, colours], ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param())


def settings_for(number: int) -> dict[str, int]:
    if number == 19:
        return {"time_limit": 20}
    return {"max_trials": 2 if number % 10 == 0 else 1}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_no_drawn_budget_is_broken(case: Case, number: int, tmp_path: Path) -> None:
    budget = case.draw(number)
    settings = settings_for(number)
    classifier = ImageClassifier(budget=budget, directory=tmp_path, seed=number, verbose=0, **settings)  # type: ignore[arg-type]
    try:
        classifier.fit(*case.data, epochs=1)
    except InfeasibleBudgetError as error:
        assert "Received: " in str(error) and any(name in str(error) for name in budget.limits())
        assert not list(tmp_path.rglob("*.tflite"))
        return
    except SearchError as error:  # other programs can make every file too slow, and nothing else can
        assert budget.max_latency_ms is not None and "latency_ms" in str(error)
        return
    assert broken(budget, classifier) == []
    if budget.max_latency_ms is not None:
        assert classifier.report_.latency_ms <= budget.max_latency_ms
        # Other programs make a measurement longer, never shorter.
        assert any(median_latency(classifier.tflite_path_) <= budget.max_latency_ms for _ in range(10))
