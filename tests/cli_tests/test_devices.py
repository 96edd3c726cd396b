"""`specialize` and `quantize`: files for other devices out of a project."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from automl_keras import Budget, ImageClassifier
from automl_keras.cli import main
from automl_keras.export import TFLiteModel, TFLiteReport
from tests.cli_tests.conftest import Workplace, run


def test_specialize_writes_what_the_supernet_gives(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Budget] = []

    def specialize(self: ImageClassifier, budget: Budget) -> ImageClassifier:
        asked.append(budget)
        return self

    monkeypatch.setattr(ImageClassifier, "specialize", specialize)
    words = ["specialize", "projects/photos", "--max-size-kb", "30", "--out", str(tmp_path / "a.tflite")]
    code, output = run(*words, "--json")
    facts = json.loads(output)
    assert (code, asked) == (0, [Budget(max_size_kb=30)])
    assert (tmp_path / "a.tflite").read_bytes() == Path("model.tflite").read_bytes()
    assert facts["report"] == {**workplace.fitted["report"], "path": str(tmp_path / "a.tflite")}
    assert facts["architecture"] == workplace.fitted["architecture"]
    assert "Network: " in run(*words)[1]
    assert run(*words, "--input", "rgb_uint8")[0] == 0
    assert TFLiteModel(tmp_path / "a.tflite").image_shape == (8, 8, 3)


def test_quantize_writes_the_file_of_the_report(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def quantize(
        self: ImageClassifier,
        budget: Budget,
        search: str,
        *,
        bits: Any,
        path: Path,
        input: str,
        android_project: Path | None,
    ) -> TFLiteReport:
        asked.append((budget, search, bits, input, android_project))
        path.write_bytes(b"a smaller file")
        return replace(self.report_, path=str(path), bits={"stem": 8, "logits": 4})

    monkeypatch.setattr(ImageClassifier, "quantize", quantize)
    words = ["quantize", "projects/photos", "--max-size-kb", "60", "--out", str(tmp_path / "small.tflite")]
    code, output = run(*words, "--search", "evolution", "--bits", "4,8", "--json")
    assert (code, asked) == (0, [(Budget(max_size_kb=60), "evolution", [4, 8], "native", None)])
    assert (tmp_path / "small.tflite").read_bytes() == b"a smaller file"
    assert json.loads(output)["report"]["path"] == str(tmp_path / "small.tflite")
    text = run(*words)[1]
    assert asked[1] == (Budget(max_size_kb=60), "ilp", None, "native", None)
    assert "logits     4" in text
    app = tmp_path / "MyApp"
    (app / "app" / "src" / "main").mkdir(parents=True)
    assert run(*words, "--input", "rgb_uint8", "--android-project", str(app))[0] == 0
    assert asked[2][3:] == ("rgb_uint8", app)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("specialize projects/photos --out nowhere/a.tflite", "`--out` must be a file in a folder"),
        ("specialize photos --out a.tflite", "A saved classifier must have the file classifier.json"),
        ("specialize projects/photos --out a.tflite", "The fit must have trained a supernet"),
        ("specialize projects/photos --out a.tflite --android-project photos", "`android_project` must be a folder"),
        ("quantize projects/photos --out a.tflite --android-project photos", "`android_project` must be a folder"),
        ("quantize photos --out a.tflite", "A saved classifier must have the file classifier.json"),
    ],
)
def test_refusals(words: str, reason: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 1
    assert capsys.readouterr().err.startswith(f"automl-keras {words.split()[0]}: {reason}")
    assert not Path("a.tflite").exists()


@pytest.mark.slow
def test_specialize_out_of_a_real_supernet(tmp_path: Path) -> None:
    words = "fit digits --max-trials 8 --epochs 8 --max-size-kb 60 --seed 0 --verbose 0"
    assert run(*words.split(), "--project", str(tmp_path / "p"))[0] == 0
    out = tmp_path / "watch.tflite"
    assert run("specialize", str(tmp_path / "p"), "--max-size-kb", "25", "--out", str(out))[0] == 0
    assert out.stat().st_size <= 25_000
    code, output = run("evaluate", str(out), "digits", "--json")
    assert code == 0 and json.loads(output)["accuracy"] > 0.3
    assert json.loads(run("trials", str(tmp_path / "p"), "--json")[1])["trials"]
