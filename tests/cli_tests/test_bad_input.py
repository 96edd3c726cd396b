"""What is damaged is refused with a sentence, and names of any letters are printed."""

import io
import os
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_keras.cli import main
from automl_keras.export import TFLiteModel
from automl_keras.export.child import ChildRuntime, CrashError
from tests.cli_tests.conftest import Workplace, run


def damaged_archive(path: Path) -> Path:
    """An .npz file whose directory is right and whose arrays cannot be unpacked."""
    np.savez_compressed(path, x=np.zeros((20, 8, 8)), y=np.zeros(20))
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    data[80] ^= 0x55
    path.write_bytes(bytes(data))
    with pytest.raises(zlib.error), np.load(path) as file:
        file["x"]
    return path


@pytest.mark.parametrize("words", ["fit {} --out a.tflite", "predict model.tflite {}", "evaluate model.tflite {}"])
def test_a_damaged_archive(
    words: str, workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damaged_archive(tmp_path / "damaged.npz")
    assert main(words.format(path).split()) == 1
    assert "An .npz file must hold whole arrays of numbers or texts. Received: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("classifier.json", b"{", "A saved classifier must be whole. Received: "),
        ("classifier.json", b'{"format": 2}', "A saved classifier must be whole. Received: "),
        ("model.keras", b"nothing", "A saved classifier must be whole. Received: "),
        ("project.json", b"{", "A file of a project must be JSON. Received: "),
    ],
)
def test_a_damaged_project(
    file: str, content: bytes, reason: str, workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = shutil.copytree("projects/photos", tmp_path / "project")
    (project / file).write_bytes(content)
    assert main(["report", str(project), "--out", str(tmp_path / "report.html")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"automl-keras report: {reason}") and str(project) in error
    assert main(["fit", "photos/", "--max-trials", "1", "--project", str(project)]) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_of_any_letters_are_printed(
    encoding: str, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [b"\xff.png", "\u00e9.png".encode()]  # the first is no text in UTF-8
    for name in names:
        shutil.copy("photos/cat/1.png", tmp_path / os.fsdecode(name))
    output = io.BytesIO()
    stream = io.TextIOWrapper(output, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["predict", "model.tflite", str(tmp_path)]) == 0
    assert stream.errors == "strict"  # as it was
    text = output.getvalue().decode(encoding)
    assert r"\udcff.png" in text
    assert ("\u00e9.png" if encoding == "utf-8" else r"\xe9.png") in text


@pytest.mark.parametrize("folder", [b"\xff", b"a  b"])
def test_names_of_folders_that_are_no_labels(
    folder: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (folder, b"a b"):
        path = Path("data") / os.fsdecode(name)
        path.mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(path / f"{number}.png")
    assert run("fit", "data", "--out", "a.tflite", "--time-limit", "1s")[0] == 1
    assert "automl-keras fit: `y` must hold " in capsys.readouterr().err
    assert not Path("a.tflite").exists()


def test_a_report_that_could_not_be_written_is_refused_before_any_work(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("automl_keras.ImageClassifier.load", None)
    assert main(["report", "projects/photos", "--out", "nowhere/page.html"]) == 1
    assert capsys.readouterr().err.startswith("automl-keras report: `--out` must be a file in a folder that can be")


@pytest.mark.parametrize("words", ["predict model.tflite photos", "evaluate model.tflite photos"])
def test_a_file_that_ends_its_process_does_not_end_the_command(
    words: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(self: ChildRuntime, data: bytes) -> np.ndarray:
        raise CrashError("The child process that ran the file ended: SIGSEGV")

    monkeypatch.setattr(ChildRuntime, "predict", predict)
    monkeypatch.setattr(TFLiteModel, "__init__", None)  # not tried here
    assert main(words.split()) == 1
    assert "The child process that ran the file ended: SIGSEGV" in capsys.readouterr().err
