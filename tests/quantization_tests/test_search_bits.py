"""`search_bits` for networks of 8x8 pixels, whose files are searched, fine-tuned and measured in a few seconds."""

import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl_keras.errors import (
    ExportError,
    InfeasibleBudgetError,
    InvalidArgumentError,
    InvalidDataError,
    InvalidTypeError,
)
from automl_keras.evaluation import Budget
from automl_keras.export import TFLiteModel, TFLiteReport
from automl_keras.export.child import ChildRuntime
from automl_keras.quantization import best_file, search_bits
from automl_keras.quantization.mixed_precision import CHECKED, MixedPrecision
from automl_keras.quantization.search_arguments import as_images
from tests.quantization_tests.networks import INFO, general_network, pixels

X, CODES = pixels(60), np.random.default_rng(0).integers(0, 4, 60)
SETTINGS: dict[str, Any] = {"calibration": X[:20], "validation": (X[20:], CODES[20:]), "seed": 0}


def sequential(activation: str | None = None) -> keras.Model:
    """Two layers of a choice, of 1,536 and 128 weights."""
    layers, initializer = keras.layers, keras.initializers.GlorotUniform
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="relu", kernel_initializer=initializer(seed=1), name="hidden"),
            layers.Dense(4, activation=activation, kernel_initializer=initializer(seed=2), name="classes"),
        ]
    )


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return sequential()


@pytest.fixture(scope="module")
def plain(network: keras.Model) -> TFLiteReport:
    return search_bits(network, **SETTINGS)


def test_without_a_budget_the_file_is_plain_int8(network: keras.Model, plain: TFLiteReport) -> None:
    assert plain.bits == {"hidden": 8, "classes": 8}
    assert plain.dtypes["INPUT"] == ("uint8",)
    assert plain.warnings == ()
    assert plain.agreement >= 0.9
    wider = search_bits(network, bits=(4, 8, 16), **SETTINGS)
    assert wider.bits == plain.bits
    assert Path(wider.path).read_bytes() == Path(plain.path).read_bytes()


@pytest.mark.parametrize("evaluator", ["file", "fake_quant"])
def test_a_budget_is_met_and_the_same_seed_gives_the_same_file(
    network: keras.Model, plain: TFLiteReport, tmp_path: Path, evaluator: Any
) -> None:
    """768 bytes less are possible with the first layer alone."""
    budget = Budget(max_size_kb=plain.size_kb - 0.5)
    for name in ("one", "other"):
        found = search_bits(network, budget=budget, evaluator=evaluator, path=tmp_path / name, **SETTINGS)
        assert found.path == str(tmp_path / name)
        assert found.size_kb == (tmp_path / name).stat().st_size / 1000 <= plain.size_kb - 0.5
        assert found.bits["hidden"] == 4
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_the_size_that_a_refusal_states_can_be_reached(network: keras.Model) -> None:
    with pytest.raises(InfeasibleBudgetError, match=r"has \d+\.\d{3} kB\. Received: limit=1\.000 kB") as refusal:
        search_bits(network, budget=Budget(max_size_kb=1), **SETTINGS)
    smallest = float(str(refusal.value).split(" has ")[1].split(" kB")[0])
    assert search_bits(network, budget=Budget(max_size_kb=smallest), **SETTINGS).size_kb == smallest


@pytest.mark.slow
def test_training_data_tune_the_weights(network: keras.Model, plain: TFLiteReport, monkeypatch: Any) -> None:
    """Of the one policy that the budget leaves; its tuned file is measured like the other, and the model is left."""
    tuned: list[Any] = []
    fine_tuned = MixedPrecision.fine_tuned

    def spied(self: MixedPrecision, policy: Any, images: Any, codes: Any, limit: Any, **settings: Any) -> Any:
        made = fine_tuned(self, policy, images, codes, limit, **settings)
        tuned.append((policy, images, codes, limit.steps, self.files.export(policy) != made.files.export(policy)))
        return made

    monkeypatch.setattr(MixedPrecision, "fine_tuned", spied)
    before = [weight.copy() for weight in network.get_weights()]
    budget = Budget(max_size_kb=plain.size_kb - 0.8)
    found = search_bits(network, budget=budget, train_data=(X[20:], CODES[20:]), epochs=3, **SETTINGS)
    assert found.bits == {"hidden": 4, "classes": 4}
    [(policy, images, codes, steps, differs)] = tuned
    assert dict(policy) == found.bits
    np.testing.assert_array_equal(images, X[20:])
    np.testing.assert_array_equal(codes, CODES[20:])
    assert steps == 3
    assert differs
    assert all(map(np.array_equal, before, network.get_weights()))


def test_floats_in_0_1_and_a_softmax_at_the_end() -> None:
    images = X.astype(np.float64) / 255
    model = keras.Sequential([keras.Input((8, 8, 3)), *sequential("softmax").layers[1:]])
    found = search_bits(model, calibration=images[:20], validation=(images, CODES), seed=0)
    assert found.dtypes["INPUT"] == ("float32",)
    assert found.agreement >= 0.9
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(TFLiteModel(found.path).predict(images.astype(np.float32)), expected, atol=0.02)


def test_whole_numbers_of_other_types_count_as_floats(network: keras.Model) -> None:
    for given, taken in ((np.uint8, np.uint8), (np.int64, np.float32), (np.float64, np.float32)):
        images = as_images("validation", X.astype(given), network)
        assert images.dtype == taken
        np.testing.assert_array_equal(images, X)


def test_what_stays_float_is_said(caplog: pytest.LogCaptureFixture) -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.LeakyReLU(0.2, name="leaky")(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    found = search_bits(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x)), **SETTINGS)
    [warning] = [warning for warning in found.warnings if "operations stay float" in warning]
    assert "leaky (LEAKY_RELU)" in warning
    assert warning in caplog.text


def test_a_file_that_cannot_be_saved_leaves_nothing_behind(plain: TFLiteReport, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        plain.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


class Made:
    """Files whose making and measuring fails, or whose accuracy is set, by their number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, outcomes: list[float | str], late: tuple[int, ...] = ()):
        self.outcomes, self.tuned, self.measured = outcomes, 0, 0
        self.late = late
        self._measure = best_file.measure_file
        monkeypatch.setattr(best_file, "measure_file", self.measure_file)
        monkeypatch.setattr(MixedPrecision, "fine_tuned", self.fine_tuned)
        monkeypatch.setattr("automl_keras.evaluation.file_limits.median_latency", lambda path: 0.001)
        self.network: Any = None

    def fine_tuned(self, *args: Any, **settings: Any) -> Any:
        self.tuned += 1
        return self.network

    def measure_file(self, path: Path, *args: Any, **settings: Any) -> TFLiteReport:
        outcome = self.outcomes[self.measured]
        self.measured += 1
        if isinstance(outcome, str):
            raise ExportError(outcome)
        return TFLiteReport(str(path), 1.0, outcome, 5.0, 1.0, {}, {}, 1.0, "none", "none")


def find(made: Made, network: MixedPrecision, budget: Budget, train: Any = None) -> TFLiteReport:
    made.network = network
    examples = best_file.Dataset(X[20:], CODES[20:].astype(np.int32))
    return best_file.find_file(network, budget, search="ilp", judge=examples, held_out=examples, train=train)


@pytest.fixture(scope="module")
def mixed(network: keras.Model) -> MixedPrecision:
    return MixedPrecision(network, INFO, X[:20], seed=0)


def size_limit(mixed: MixedPrecision, **limits: float) -> Budget:
    """Which two policies keep."""
    return Budget(max_size_kb=mixed.measured_size(mixed.widest) / 1000 - 0.5, **limits)


def test_a_file_that_fails_is_passed_over(mixed: MixedPrecision, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, ["does not run", 0.5])
    assert find(made, mixed, size_limit(mixed)).accuracy == 0.5
    assert made.measured == 2
    made = Made(monkeypatch, ["does not run", "does not run"])
    with pytest.raises(ExportError, match=r"No file keeps the budget\. Received: does not run$"):
        find(made, mixed, size_limit(mixed))


def test_a_latency_is_measured_again_before_it_counts(mixed: MixedPrecision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChildRuntime, "measure_latency", lambda self, data, *, seconds: 0.0001)
    monkeypatch.setattr("automl_keras.quantization.layer_latency.median_latency", lambda file: 0.0001)
    assert find(Made(monkeypatch, [0.5]), mixed, size_limit(mixed, max_latency_ms=1.0)).latency_ms == 0.001
    with pytest.raises(ExportError, match=r"latency_ms 0\.001 exceeds max_latency_ms=0\.0005"):
        find(Made(monkeypatch, [0.5, 0.5]), mixed, size_limit(mixed, max_latency_ms=0.0005))


@pytest.mark.parametrize(
    ("outcomes", "best", "measured"),
    [
        ([0.3, 0.4, 0.2, 0.9], 0.4, 3),  # two tuned ones and the best as it is; not the fourth
        (["fails", 0.1, 0.2, 0.9], 0.2, 3),
        (["fails", "fails", "fails", 0.1], 0.1, 4),
    ],
)
def test_tuned_files_and_others(
    mixed: MixedPrecision, monkeypatch: pytest.MonkeyPatch, outcomes: list[Any], best: float, measured: int
) -> None:
    made = Made(monkeypatch, outcomes)
    train = best_file.Dataset(X, CODES.astype(np.int32))
    assert find(made, mixed, size_limit(mixed), train).accuracy == best
    assert (made.tuned, made.measured) == (2, measured)


def test_predictions_are_checked_on_files(mixed: MixedPrecision) -> None:
    budget = size_limit(mixed)
    found = mixed.search("random", budget, X, CODES, trials=4, judge="fake_quant", objective="val_loss")
    assert {evaluation.source for evaluation in found} == {"file"}
    assert 1 <= len(found) <= CHECKED
    losses = [evaluation.metrics["val_loss"] for evaluation in found]
    assert losses == sorted(losses)
    assert [evaluation.cost.size_kb for evaluation in found] == [
        mixed.measured_size(evaluation.architecture) / 1000 for evaluation in found
    ]
    with pytest.raises(InvalidArgumentError, match="Received: judge='guess'"):
        mixed.search("ilp", budget, X, CODES, judge="guess")  # type: ignore[arg-type]


def test_without_time_a_policy_within_the_budget_is_found(mixed: MixedPrecision) -> None:
    [found] = mixed.search("ilp", size_limit(mixed), X, CODES, deadline=0.0)
    assert found.error is None
    assert found.architecture["hidden"] == 4


class Subclassed(keras.Model):
    def call(self, images: Any) -> Any:
        return images


def unusual(inputs: Any, outputs: Any) -> keras.Model:
    return keras.Model(inputs, outputs(inputs))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Subclassed, "functional or built Sequential"),
        (lambda: keras.Sequential([keras.layers.Flatten()]), "functional or built Sequential"),
        (lambda: unusual(keras.Input((None, 8, 3)), keras.layers.GlobalAveragePooling2D()), "all of them fixed"),
        (lambda: unusual(keras.Input((12,)), keras.layers.Dense(4)), "images of shape"),
        (lambda: unusual(keras.Input((8, 8, 3)), keras.layers.MaxPooling2D()), "at least 2 classes"),
        (lambda: unusual(keras.Input((1, 1, 1)), keras.layers.Flatten()), "at least 2 classes"),
    ],
)
def test_models_that_are_no_classifiers_of_images(make: Any, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        search_bits(make(), calibration=None, validation=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"model": "a.keras"}, InvalidTypeError, "model=str"),
        ({"budget": 60}, InvalidTypeError, "budget=60"),
        ({"search": "bayes"}, InvalidArgumentError, "search='bayes'"),
        ({"evaluator": "guess"}, InvalidArgumentError, "evaluator='guess'"),
        ({"trials": 0}, InvalidArgumentError, "trials=0"),
        ({"trials": 2.5}, InvalidTypeError, "trials=2.5"),
        ({"epochs": 0}, InvalidArgumentError, "epochs=0"),
        ({"epochs": "3"}, InvalidTypeError, "epochs='3'"),
        ({"epochs": float("nan")}, InvalidArgumentError, "epochs=nan"),
        ({"seed": -1}, InvalidArgumentError, "seed=-1"),
        ({"seed": "a"}, InvalidTypeError, "seed='a'"),
        ({"path": "no/such/folder/model.tflite"}, InvalidArgumentError, "path='no/such"),
        ({"path": 3}, InvalidTypeError, "path=3"),
        ({"input": "rgb"}, InvalidArgumentError, "input='rgb'"),
        ({"android_project": "no/such/folder"}, InvalidArgumentError, "android_project='no/such/folder'"),
        ({"calibration": X[:0]}, InvalidDataError, r"shape=\(0, 8, 8, 3\)"),
        ({"calibration": X / np.nan}, InvalidDataError, "NaN or infinity"),
        ({"calibration": X > 9}, InvalidDataError, "dtype=bool"),
        ({"calibration": X[:20] / 255}, InvalidDataError, "'calibration': 'float32', 'validation': 'uint8'"),
        ({"train_data": (X / 255, CODES)}, InvalidDataError, "'train_data': 'float32'"),
        ({"validation": X}, InvalidTypeError, "validation=ndarray"),
        ({"validation": (X, CODES + 1)}, InvalidDataError, "one class from 0 to 3"),
        ({"validation": (X, CODES[:9])}, InvalidDataError, "one class from 0 to 3"),
    ],
)
def test_wrong_arguments_are_refused_before_the_search(
    network: keras.Model, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], error: Any, text: str
) -> None:
    monkeypatch.setattr(importlib.import_module(search_bits.__module__), "MixedPrecision", None)
    with np.errstate(all="ignore"), pytest.raises(error, match=f"Received: .*{text}|{text}"):
        search_bits(**{"model": network, **SETTINGS, **arguments})


def test_a_nested_model_of_several_branches() -> None:
    found = search_bits(general_network(), budget=Budget(max_bit_ops=1_180_000), search="random", trials=3, **SETTINGS)
    assert set(found.bits.values()) == {4, 8}
