from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_keras import Budget, ImageClassifier
from automl_keras.data import preparation
from automl_keras.errors import AutoMLError, InfeasibleBudgetError, ProjectError
from automl_keras.estimators.fitting import Fitting

X = np.random.default_rng(0).integers(0, 256, (60, 9, 8, 1), dtype=np.uint8)
Y = np.arange(60) % 3
NAN = float("nan")


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets as far as the stages of a fit was not refused in time."""

    def trained(self: Fitting) -> None:
        raise RuntimeError("a weight would have been updated")

    monkeypatch.setattr(Fitting, "run", trained)


def with_value(array: np.ndarray, value: Any, dtype: Any = None) -> np.ndarray:
    changed = array.astype(dtype) if dtype else array.copy()
    changed.flat[7] = value
    return changed


@pytest.mark.parametrize(
    ("x", "y", "named"),
    [
        (with_value(X, NAN, float), Y, "`x`.*smallest=nan"),
        (with_value(X, np.inf, float), Y, "`x`.*largest=inf"),
        (X, with_value(Y, NAN, float), "`y`.*NaN"),
        (X, [None, *Y[1:]], "`y`"),
        (X, [*map(str, Y[:-1]), None], "`y`"),
        (X, Y[:-1], "60 images and 59 labels"),
        (X[:0], Y[:0], r"`x`.*shape=\(0, 9, 8, 1\)"),
        (X, np.zeros(60), r"`y`.*only \[0.0\]"),
        (X, [0] * 59 + [1], "`y`.*one image of 1 classes, such as 1"),
        (X.reshape(60, -1), Y, r"`x`.*shape=\(60, 72\)"),
        (X[..., np.newaxis], Y, r"`x`.*shape=\(60, 9, 8, 1, 1\)"),
        ([np.zeros((3, 3)), np.zeros((4, 4))] * 30, Y, "`x`.*one shape"),
        (X.astype(complex), Y, "`x`.*complex128"),
        (X.astype(object), Y, "`x`.*object"),
        (X.astype(str), Y, "`x`.*dtype=<U"),
        (X[:, :0], Y, r"`x`.*\(60, 0, 8, 1\)"),
        (np.repeat(X, 2, axis=3), Y, "`x`.*1, 3 or 4 channels"),
        (np.repeat(X, 5, axis=3), Y, "`x`.*1, 3 or 4 channels"),
        (X, np.eye(3)[Y] * 0.5, "`y`.*exactly one 1"),
        (X, np.ones((60, 3)), "`y`.*exactly one 1"),
        (X, np.linspace(0, 1, 60), "`y`.*whole numbers"),
        (X, None, "`y`.*y=None"),
        ("no/such/folder", None, "`x`.*no/such/folder"),
        (X, X, "`y`.*shape"),
    ],
)
def test_bad_data(x: Any, y: Any, named: str) -> None:
    with pytest.raises(AutoMLError, match=f"(?s){named}"):
        ImageClassifier(verbose=0).fit(x, y)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"validation_data": (X, Y + 1)}, r"validation_data\[1\].*unknown labels \[3\]"),
        ({"validation_data": (X[:, :5], Y)}, r"`validation_data`.*\(5, 8, 1\)"),
        ({"validation_data": (X, Y[:5])}, r"validation_data\[0\].*60 images and 5 labels"),
        ({"validation_data": (X / 2 + 0.1, Y)}, "`validation_data`.*whole pixel values"),
        ({"validation_data": X}, "`validation_data`.*ndarray"),
        ({"validation_data": (X,)}, "`validation_data`.*tuple"),
        ({"validation_split": 0}, "validation_split=0"),
        ({"validation_split": 1.0}, r"validation_split=1\.0"),
        ({"validation_split": -0.2}, "validation_split=-0.2"),
        ({"validation_split": NAN}, "validation_split=nan"),
        ({"validation_split": "0.2"}, "validation_split='0.2'"),
        ({"validation_split": 0.2, "validation_data": (X, Y)}, "`validation_split` must be None"),
        ({"sample_weight": np.ones(59)}, r"`sample_weight`.*\(59,\)"),
        ({"sample_weight": -np.ones(60)}, "`sample_weight`.*smallest=-1"),
        ({"sample_weight": np.full(60, NAN)}, "`sample_weight`.*nan"),
        ({"sample_weight": "balanced"}, "`sample_weight`.*type str"),
        ({"class_weight": {7: 1.0}}, "`class_weight`.*7"),
        ({"class_weight": {0: -1.0}}, r"class_weight\[0\]=-1\.0"),
        ({"class_weight": "balanced"}, "`class_weight`.*type str"),
        *[
            ({name: value}, f"{name}={value!r}")
            for name in ("epochs", "batch_size")
            for value in (0, -1, NAN, 2.5, "3", True)
        ],
    ],
)
def test_bad_arguments_of_fit(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(AutoMLError, match=f"(?s){named}"):
        ImageClassifier(verbose=0).fit(X, Y, **arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        *[({"max_trials": value}, f"max_trials={value!r}") for value in (0, -3, NAN, 2.5, "3", True)],
        *[({"time_limit": value}, f"time_limit={value!r}") for value in (0, -3, NAN, float("inf"), "3", True)],
        ({"budget": 100}, "budget=100"),
        ({"budget": {"max_size_kb": 100}}, "budget="),
        ({"tuner": "grid"}, "tuner='grid'"),
        ({"tuner": ["random"]}, r"tuner=\['random'\]"),
        ({"search_space": "resnet"}, "search_space='resnet'"),
        ({"search_space": 3}, "search_space=3"),
        ({"objective": "accuracy_of_sorts"}, "objective='accuracy_of_sorts'"),
        ({"quantization": "int5"}, "quantization='int5'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.0}, r"seed=1\.0"),
        ({"verbose": 7}, "verbose=7"),
        ({"directory": 3}, "directory=3"),
        ({"project_name": ""}, "project_name=''"),
    ],
)
def test_bad_arguments_of_the_constructor(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(AutoMLError, match=named):
        ImageClassifier(**{"verbose": 0, **arguments}).fit(X, Y)


@pytest.mark.parametrize("name", ["max_params", "max_macs", "max_size_kb", "max_ram_kb", "max_latency_ms"])
@pytest.mark.parametrize("limit", [0, -1, NAN, float("inf"), "1", True])
def test_bad_budgets(name: str, limit: Any) -> None:
    with pytest.raises(AutoMLError, match=f"`{name}`.*{name}={limit!r}"):
        Budget(**{name: limit})


@pytest.mark.parametrize("name", ["max_params", "max_macs", "max_size_kb", "max_ram_kb"])
def test_impossible_budgets_name_the_smallest_network(name: str) -> None:
    with pytest.raises(InfeasibleBudgetError, match=rf"smallest network.*{name.removeprefix('max_')}=\d.*{name}=0.01"):
        ImageClassifier(budget=Budget(**{name: 0.01}), verbose=0).fit(X, Y)


def test_impossible_budgets_are_refused_before_the_data_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "split_indices", lambda *args: pytest.fail("comparing images takes seconds"))
    with pytest.raises(InfeasibleBudgetError):
        ImageClassifier(budget=Budget(max_size_kb=0.01), verbose=0).fit(X, Y)


def test_bad_folders(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(ProjectError, match="file"):
        ImageClassifier(directory=tmp_path, project_name="file", verbose=0).fit(X, Y)
    with pytest.raises(ProjectError, match="one can write to"):
        ImageClassifier(directory=file, verbose=0).fit(X, Y)
    assert file.read_text() == "precious"
    with pytest.raises(ProjectError, match=r"classifier\.json"):
        ImageClassifier.load(tmp_path)


def test_a_refusal_loses_nothing(tmp_path: Path) -> None:
    for arguments in ({"epochs": 0}, {"class_weight": {9: 1}}):
        with pytest.raises(AutoMLError):
            ImageClassifier(directory=tmp_path, verbose=0).fit(X, Y, **arguments)
    assert list(tmp_path.iterdir()) == []
