import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from automl_keras import AutoMLError, Budget, ImageClassifier
from automl_keras.errors import (
    InfeasibleBudgetError,
    InvalidArgumentError,
    InvalidDataError,
    NotFittedError,
    ProjectError,
    SearchError,
)
from automl_keras.export import TFLiteModel
from automl_keras.search_space import image_space, macro_space

LARGE_MACRO_SPACE = macro_space((8, 8, 1), 10, num_layers=6, num_filters=96)
NAMES = np.array([f"digit {number}" for number in range(10)])


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return digits.images[:600], NAMES[digits.target[:600]]


@pytest.fixture(scope="module")
def fitted(data: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    classifier = ImageClassifier(
        budget=Budget(max_size_kb=40), max_trials=6, seed=0, verbose=0, directory=tmp_path_factory.mktemp("projects")
    )
    return classifier.fit(*data, epochs=6)


def test_labels_come_back_as_they_came(fitted: ImageClassifier, data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    answers = fitted.predict(x[:50])
    assert answers.shape == (50,) and answers.dtype.kind == "U" and set(answers) <= set(NAMES)
    assert fitted.classes_.tolist() == sorted(NAMES)
    assert fitted.score(x, y) > 0.6  # a handful of epochs
    assert fitted.evaluate(x, y)["accuracy"] == pytest.approx(fitted.score(x, y))
    probabilities = fitted.predict_proba(x[:7])
    assert probabilities.shape == (7, 10) and np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_the_file_is_the_model_and_keeps_the_budget(
    fitted: ImageClassifier, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    report = fitted.export_tflite(path)
    assert replace(report, path=fitted.report_.path) == fitted.report_ and report.path == str(path)
    assert path.stat().st_size == pytest.approx(report.size_kb * 1000) and report.size_kb <= 40
    file_answers = TFLiteModel(path).predict(data[0][..., None]).argmax(axis=1)
    assert np.mean(fitted.classes_[file_answers] == fitted.predict(data[0])) > 0.97
    with zipfile.ZipFile(path) as content:
        assert content.read("labels.txt").decode().split("\n")[:10] == sorted(NAMES)


def test_leaderboard_begins_with_the_exported_file(fitted: ImageClassifier) -> None:
    rows = fitted.leaderboard()
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["source"] == "file" and rows[0]["architecture"] == fitted.best_architecture_
    assert rows[0]["size_kb"] == fitted.report_.size_kb and rows[0]["val_accuracy"] == fitted.report_.accuracy
    shared = [row for row in rows if row["source"] == "shared_weights"]
    assert len(shared) == 6 and len({row["architecture"] for row in shared}) == 6
    assert all(row["size_kb"] <= 40 for row in rows)


def test_saved_classifier_answers_the_same(
    fitted: ImageClassifier, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    fitted.save(tmp_path / "saved")
    loaded = ImageClassifier.load(tmp_path / "saved")
    assert np.array_equal(loaded.predict_proba(data[0]), fitted.predict_proba(data[0]))
    assert loaded.report_ == fitted.report_ and loaded.leaderboard() == fitted.leaderboard()
    assert loaded.budget == fitted.budget
    assert not [path for path in (tmp_path / "saved").iterdir() if path.suffix in (".pkl", ".pickle")]
    with pytest.raises(ProjectError, match=r"classifier\.json"):
        ImageClassifier.load(tmp_path)


def test_exported_model_is_plain_keras(
    fitted: ImageClassifier, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    fitted.export_model().save(tmp_path / "model.keras")
    script = (
        "import keras, numpy as np, sys; m = keras.models.load_model(sys.argv[1]); "
        "print(repr(m.predict_on_batch(np.load(sys.argv[2])).argmax(1).tolist()))"
    )
    np.save(tmp_path / "x.npy", data[0][:20, ..., None])
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.keras", tmp_path / "x.npy"],
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    assert fitted.classes_[answers].tolist() == fitted.predict(data[0][:20]).tolist()
    assert isinstance(fitted.export_model(), keras.Model)


def test_finished_project_returns_at_once_and_others_are_refused(
    fitted: ImageClassifier, data: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = data
    again = clone(fitted).fit(x, y, epochs=6)
    assert np.array_equal(again.predict_proba(x), fitted.predict_proba(x))
    with pytest.raises(ProjectError, match="different data"):
        clone(fitted).fit(x[:-1], y[:-1], epochs=6)
    with pytest.raises(ProjectError, match="different epochs"):
        clone(fitted).fit(x, y, epochs=7)


@pytest.mark.slow
def test_same_seed_same_result_in_a_fresh_process(tmp_path: Path) -> None:
    script = (
        "import sys, numpy as np; from sklearn.datasets import load_digits; from automl_keras import ImageClassifier\n"
        "d = load_digits(); c = ImageClassifier(max_trials=5, seed=3, verbose=0).fit(d.images[:400], d.target[:400],"
        " epochs=3); np.save(sys.argv[1], c.predict_proba(d.images[400:450])); print(c.best_architecture_)"
    )
    outputs = []
    for name in ("one.npy", "other.npy"):
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path / name], capture_output=True, text=True, check=True
        )
        outputs.append((done.stdout, np.load(tmp_path / name)))
    assert outputs[0][0] == outputs[1][0]
    assert np.array_equal(outputs[0][1], outputs[1][1])


def test_time_limit_gives_one_trained_network(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    one_hot = (y[:, None] == NAMES[None]).astype(np.float32)
    validation = x[500:], one_hot[500:]
    classifier = ImageClassifier(time_limit=12, seed=0, verbose=0)
    classifier.fit(
        (x[:500] * 15).astype(np.uint8),
        one_hot[:500],
        validation_data=((validation[0] * 15).astype(np.uint8), validation[1]),
    )
    assert classifier.predict((x[:3] * 15).astype(np.uint8)).shape == (3, 10)
    assert TFLiteModel(classifier.tflite_path_).input_details["dtype"] == np.uint8
    plan = classifier.plan_
    assert plan is not None and plan["space"] is None
    # A busy machine has no time for a probe.
    assert [(probe["choice"], set(probe["scores"])) for probe in plan["probes"]] in ([], [("flip", {"False", "True"})])


def test_interrupt_keeps_the_first_model(data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_keras.estimators import searching

    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching.Searcher, "search", interrupt)
    classifier = ImageClassifier(max_trials=5, seed=0, verbose=0).fit(*data, epochs=2)
    assert len(classifier.leaderboard()) == 1 and classifier.report_.size_kb > 0


def test_a_failed_search_leaves_the_default_network(
    data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_keras.estimators import searching

    def fail(*args: object, **kwargs: object) -> None:
        raise SearchError("planted")

    monkeypatch.setattr(searching.Searcher, "search", fail)
    classifier = ImageClassifier(max_trials=5, seed=0, verbose=0).fit(*data, epochs=2)
    assert classifier.plan_ is not None
    assert classifier.best_architecture_.to_dict() == classifier.plan_["default"]


@pytest.mark.slow
def test_colour_floats_few_classes_and_an_own_space() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(40) < 0.5
    x = rng.normal(300.0, 5.0, (40, 12, 10, 3))
    x[y, :, :5] += 40.0
    space = image_space((12, 10, 3), 2).restrict({"stage1_depth": (2, 3), "stage0_operation": ("mbconv",)})
    classifier = ImageClassifier(max_trials=3, search_space=space, seed=0, verbose=0).fit(x, y, epochs=8)
    assert classifier.predict(x).dtype == bool and classifier.score(x, y) > 0.7
    assert classifier.best_architecture_["stage0_operation"] == "mbconv"
    details = TFLiteModel(classifier.tflite_path_).input_details
    assert details["dtype"] == np.float32 and tuple(details["shape"]) == (1, 12, 10, 3)


def test_overwrite_spares_folders_of_others(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "image_classifier").mkdir()
    (tmp_path / "image_classifier" / "letter.txt").write_text("dear diary")
    with pytest.raises(ProjectError, match="empty or a project"):
        ImageClassifier(directory=tmp_path, overwrite=True, verbose=0).fit(*data)
    assert (tmp_path / "image_classifier" / "letter.txt").exists()


def test_constructor_only_stores() -> None:
    classifier = ImageClassifier(time_limit=-1, tuner="nobody")
    assert classifier.get_params()["time_limit"] == -1
    assert clone(classifier).tuner == "nobody"
    with pytest.raises(NotFittedError, match="fit"):
        classifier.predict(np.zeros((1, 8, 8)))


@pytest.mark.parametrize(
    ("arguments", "fit_arguments", "message"),
    [
        ({"time_limit": 0}, {}, "time_limit=0"),
        ({"time_limit": float("nan")}, {}, "time_limit=nan"),
        ({"time_limit": "60"}, {}, "time_limit='60'"),
        ({"max_trials": 0}, {}, "max_trials=0"),
        ({"max_trials": 2.0}, {}, "max_trials=2.0"),
        ({"tuner": "enas2"}, {}, "tuner='enas2'"),
        ({"quantization": "int3"}, {}, "quantization='int3'"),
        ({"objective": "val_foo"}, {}, "objective='val_foo'"),
        ({"search_space": "big"}, {}, "search_space='big'"),
        ({"budget": 120}, {}, "budget=120"),
        ({"seed": -1}, {}, "seed=-1"),
        ({}, {"epochs": 0}, "epochs=0"),
        ({}, {"batch_size": True}, "batch_size=True"),
        ({}, {"validation_split": 1.5}, "validation_split=1.5"),
        ({"budget": Budget(max_size_kb=1)}, {}, "max_size_kb=1"),
        ({"budget": Budget(max_size_kb=40), "search_space": LARGE_MACRO_SPACE}, {}, "networks drawn.*max_size_kb': 40"),
    ],
)
def test_bad_arguments_are_refused_before_training(
    data: tuple[np.ndarray, np.ndarray], arguments: dict, fit_arguments: dict, message: str
) -> None:
    with pytest.raises(AutoMLError, match=message):
        ImageClassifier(**{"verbose": 0, **arguments}).fit(*data, **fit_arguments)


def test_bad_data_is_refused(fitted: ImageClassifier, data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    with pytest.raises(InvalidDataError, match="y=None"):
        ImageClassifier(verbose=0).fit(x)
    with pytest.raises(InvalidDataError, match="7"):
        fitted.predict(np.zeros((2, 7, 7)))
    with pytest.raises(InvalidDataError, match="5 labels"):
        fitted.evaluate(x[:4], y[:5])
    assert issubclass(InfeasibleBudgetError, ValueError) and issubclass(InvalidArgumentError, ValueError)
