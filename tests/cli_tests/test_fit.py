import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.cli import main
from automl_keras.cli.data import labelled_data, pictures
from automl_keras.errors import InvalidDataError
from automl_keras.export import TFLiteModel
from tests.cli_tests.conftest import FIT, Workplace, run

ROOT = Path(__file__).resolve().parents[2]


def test_a_fit_tells_what_is_in_the_file_and_in_the_project(workplace: Workplace) -> None:
    facts, loaded = workplace.fitted, ImageClassifier.load("projects/photos")
    assert facts["report"]["path"] == "model.tflite"
    assert facts["report"]["size_kb"] == Path("model.tflite").stat().st_size / 1000
    assert Path("model.tflite").read_bytes() == loaded.tflite_path_.read_bytes()
    assert facts["report"]["accuracy"] == loaded.report_.accuracy
    assert facts["labels"] == ["cat", "dog"] == loaded.classes_.tolist()
    assert facts["architecture"] == loaded.best_architecture_.to_dict()
    assert (facts["interrupted"], facts["project"]) == (False, str(Path("projects/photos").resolve()))


def test_a_fit_for_people(workplace: Workplace) -> None:
    assert "digits.tflite: accuracy 0." in workplace.told
    assert f"{Path('digits.tflite').stat().st_size / 1000:.1f} kB" in workplace.told
    assert "Network: " in workplace.told


def test_a_finished_project_answers_at_once(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("automl_keras.estimators.fitting.Fitting.run")
    code, output = run("fit", "photos/", "--project", "projects/photos", "--json", *FIT)
    facts = json.loads(output)
    assert code == 0
    assert facts["report"]["path"] == str(Path("projects/photos/model.tflite").resolve())
    assert {**facts["report"], "path": ""} == {**workplace.fitted["report"], "path": ""}


def test_a_file_for_an_app_is_put_into_its_assets(workplace: Workplace, tmp_path: Path) -> None:
    source, file = tmp_path / "MyApp" / "app" / "src" / "main", tmp_path / "rgb.tflite"
    source.mkdir(parents=True)
    words = ("--input", "rgb_float32", "--android-project", tmp_path / "MyApp", "--out", file)
    code, output = run("fit", "photos/", "--project", "projects/photos", "--json", *words, *FIT)
    report = json.loads(output)["report"]
    assert code == 0
    assert (report["path"], report["dtypes"]["INPUT"], report["agreement"]) == (str(file), ["float32"], 1.0)
    assert TFLiteModel(file).image_shape == (8, 8, 3)
    assert (source / "assets" / "model.tflite").read_bytes() == file.read_bytes()
    assert (source / "assets" / "labels.txt").read_text() == "cat\ndog"


def test_arguments_reach_the_estimator(workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fit(self: ImageClassifier, x: Any, y: Any, **settings: Any) -> None:
        seen.extend([self.get_params(), x, y, settings])
        self._state = ImageClassifier.load("projects/photos")._state

    monkeypatch.setattr(ImageClassifier, "fit", fit)
    words = """fit data.npz --time-limit 5m --max-trials 7 --max-size-kb 60 --max-macs 1000000 --tuner enas --refit
        --quantization float32 --seed 3 --overwrite --epochs 4 --balance-classes --verbose 2 --project"""
    assert run(*words.split(), str(tmp_path / "p"))[0] == 0
    parameters, x, y, settings = seen
    assert parameters.pop("budget") == Budget(max_size_kb=60, max_macs=1_000_000)
    given = {"time_limit": 300.0, "max_trials": 7, "tuner": "enas", "refit": True, "seed": 3, "overwrite": True}
    given["quantization"] = None
    folder = {"directory": tmp_path, "project_name": "p", "verbose": 2}
    expected = {**ImageClassifier().get_params(), **given, **folder}
    del expected["budget"]
    assert parameters == expected
    assert np.array_equal(x, workplace.x) and np.array_equal(y, workplace.y)
    assert settings == {"epochs": 4, "class_weight": "auto", "image_size": None}


def test_after_ctrl_c_the_best_model_so_far_is_written(
    workplace: Workplace,
    ctrl_c: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fit(self: ImageClassifier, x: Any, y: Any, **settings: Any) -> None:
        with pytest.raises(KeyboardInterrupt):  # as the fit takes it for its end
            ctrl_c()
        self._state = ImageClassifier.load("projects/photos")._state

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(ImageClassifier, "fit", fit)
    assert main(["fit", "photos/", "--out", str(tmp_path / "model.tflite")]) == 130
    assert capsys.readouterr().out.startswith("Interrupted: this is the best model so far.\n")
    assert (tmp_path / "model.tflite").read_bytes() == Path("model.tflite").read_bytes()
    code, output = run("fit", "photos/", "--out", tmp_path / "model.tflite", "--json")
    assert (code, json.loads(output)["interrupted"]) == (130, True)
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_before_the_first_model(
    workplace: Workplace,
    ctrl_c: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("automl_keras.estimators.image_estimator.prepare_data", lambda *a, **k: ctrl_c())
    assert main(["fit", "photos/", "--out", str(tmp_path / "model.tflite")]) == 130
    assert capsys.readouterr().err == "automl-keras fit: `fit` was interrupted before it had its first model.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("digits --max-trials 1 --epochs 1", "`--out` or `--project` must be given"),
        (
            "digits --out nowhere/a.tflite --max-trials 1 --epochs 1",
            "`--out` must be a file in a folder that can be written to.",
        ),
        ("digits --out photos --max-trials 1 --epochs 1", "`--out` must be a file in a folder that can be written to."),
        ("digits --project p --input rgb_uint8", "`--input` and `--android-project` must come with `--out`."),
        ("digits --out a.tflite --android-project photos", "`android_project` must be a folder with app/src/main"),
        ("digits --out a.tflite --max-size-kb 0", "`max_size_kb` must be positive and finite."),
        ("digits --out a.tflite --image-size 64", "`image_size` must be at most 224, and None unless `x` is a folder"),
        ("photos --out a.tflite --image-size 400", "`image_size` must be at most 224"),
        ("digits --out a.tflite --max-trials 0", "`max_trials` must be at least 1"),
        ("digits --out a.tflite --max-trials 1 --tuner nonsense", "`tuner` must be one of "),
        ("nothing.npz --out a.tflite", "Data must be a folder, an .npz file or the word"),
        ("model.tflite --out a.tflite", "Data must be a folder, an .npz file or the word"),
        ("projects/photos --out a.tflite", "`x` must be a folder with one sub-folder"),
    ],
)
def test_refusals(words: str, reason: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *words.split()]) == 1
    assert capsys.readouterr().err.startswith(f"automl-keras fit: {reason}")
    assert not Path("a.tflite").exists()


def test_the_digits_are_in_two_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (x_train, y_train), (x_test, y_test) = labelled_data("digits", "train"), labelled_data("digits", "test")
    assert (x_train.shape, x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    everything = np.concatenate([x_train, x_test]).reshape(1797, -1)
    expected = load_digits().data
    assert np.array_equal(np.sort(everything @ np.arange(64)), np.sort(expected @ np.arange(64)))
    assert np.bincount(y_train).min() > 130 and np.bincount(y_test).min() > 30
    (tmp_path / "digits").mkdir()  # a folder of that name comes first
    assert labelled_data("digits", "train") == ("digits", None)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "digits" / "0.png")
    assert pictures("digits", (8, 8, 1)).names == ["digits/0.png"]


def test_arrays_of_an_npz_file(tmp_path: Path) -> None:
    parts = {name: np.full((3, 2), number) for number, name in enumerate(("x_train", "y_train", "x_test", "y_test"))}
    np.savez(tmp_path / "parts.npz", **parts)
    assert [part[0, 0] for part in labelled_data(str(tmp_path / "parts.npz"), "train")] == [0, 1]
    assert [part[0, 0] for part in labelled_data(str(tmp_path / "parts.npz"), "test")] == [2, 3]
    np.savez(tmp_path / "other.npz", x=np.zeros(3), labels=np.zeros(3))
    with pytest.raises(InvalidDataError, match=r"x_train and y_train or x and y. Received: .* with \['x', 'labels'\]"):
        labelled_data(str(tmp_path / "other.npz"), "train")
    np.savez(tmp_path / "objects.npz", x=np.array([None]), y=np.zeros(1))
    with pytest.raises(InvalidDataError, match="must hold"):
        labelled_data(str(tmp_path / "objects.npz"), "train")


@pytest.mark.slow
@pytest.mark.parametrize(("line", "files"), [("Plan: ", ["digits.tflite"]), ("first small model", [])])
def test_a_real_ctrl_c(line: str, files: list[str], ctrl_c: Callable[[], None], tmp_path: Path) -> None:
    words = ["fit", "digits", "--time-limit", "5m", "--out", "digits.tflite", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "automl_keras", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(line in text for text in process.stderr)
    process.send_signal(signal.SIGINT)
    output, told = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] == files
    facts = json.loads(output)
    assert facts["interrupted"] if files else "before it had its first model" in facts["error"]
