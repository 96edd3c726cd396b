import argparse
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from automl_keras.cli import main, trials
from automl_keras.cli.arguments import LIMITS, duration
from automl_keras.cli.output import to_json
from automl_keras.cli.program import COMMANDS, make_parser
from automl_keras.evaluation import Budget
from tests.cli_tests.conftest import Workplace

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "command_line.md").read_text("utf-8")
EXAMPLES = [line for command in COMMANDS for line in command.examples]
IN_DOCS = [line for line in PAGE.splitlines() if line.startswith("automl-keras ")]
LONG = {"fit", "specialize", "quantize"}  # tried with other arguments in tests of their own


@pytest.mark.parametrize("line", dict.fromkeys(EXAMPLES + IN_DOCS))
def test_examples_run(line: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(line)
    assert program == "automl-keras" and line.startswith(f"automl-keras {words[0]} ")
    options = make_parser().parse_args(words)
    if options.command.name not in LONG:
        assert main(words) == 0
        output = capsys.readouterr().out
        assert (json.loads(output) != {}) if options.json else ("{" not in output)


def test_every_command_has_examples_and_stands_in_the_documentation() -> None:
    for command in COMMANDS:
        assert all(line.startswith(f"automl-keras {command.name} ") for line in command.examples)
        assert any(line.startswith(f"automl-keras {command.name} ") for line in IN_DOCS), command.name
        assert command.examples


@pytest.mark.parametrize("words", [["--help"], *([command.name, "--help"] for command in COMMANDS)])
def test_help_shows_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert "examples:\n  automl-keras " in capsys.readouterr().out


def test_arguments_are_parsed_without_slow_imports() -> None:
    slow = {"numpy", "keras", "tensorflow", "rich", "sklearn", "PIL"}
    code = (
        "import sys; from automl_keras.cli.program import make_parser; make_parser().format_help(); "
        f"print({slow!r} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("1.5h", 5400), ("0.5", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "5 m", "5d", "m", "1h30m", "nan", "inf", "9" * 400])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such|like 90, 90s, 5m or 1h. Received: "):
        duration(text)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["fit"],
        ["fit", "digits", "--time-limit", "5d"],
        ["fit", "digits", "--max-trials", "many"],
        ["fit", "digits", "--max-size", "5"],  # not the whole name
        ["predict", "model.tflite"],
        ["specialize", "project"],
        ["bench", "model.tflite", "--threads", "0"],
        ["bench", "model.tflite", "--threads", "1,two"],
    ],
)
def test_what_cannot_be_parsed_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: automl-keras")


def test_json_has_only_what_json_knows() -> None:
    facts = {"nan": math.nan, 1: (np.float32(0.5), np.arange(2), np.inf), "path": Path("a"), "none": None, "yes": True}
    assert json.loads(to_json(facts)) == {"nan": None, "1": [0.5, [0, 1], None], "path": "a", "none": None, "yes": True}


def test_every_limit_of_a_budget_is_an_option() -> None:
    assert LIMITS.keys() == {field.name for field in fields(Budget)}


@pytest.mark.parametrize("as_json", [False, True])
def test_a_refusal_is_a_sentence(as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trials", str(tmp_path), *["--json"] * as_json]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("automl-keras trials: `directory` must be the folder of one project. Received: ")
    assert captured.err.count("\n") == 1
    reason = captured.err.removeprefix("automl-keras trials: ").rstrip()
    assert (json.loads(captured.out) == {"error": reason}) if as_json else (captured.out == "")


def test_ctrl_c_ends_with_130(
    workplace: Workplace,
    ctrl_c: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(trials, "_text", lambda *arguments: ctrl_c())
    assert main(["trials", "projects/photos", "--json"]) == 130
    captured = capsys.readouterr()
    assert captured.err == "automl-keras trials: interrupted\n"
    assert json.loads(captured.out) == {"error": "interrupted"}


def test_a_real_process_prints_json_alone(workplace: Workplace) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "automl_keras", "predict", "model.tflite", "photos/cat/", "--json"],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert len(json.loads(result.stdout)["predictions"]) == len(list(Path("photos/cat").iterdir()))


def test_a_reader_that_has_seen_enough_is_no_fault(workplace: Workplace) -> None:
    words = " ".join([sys.executable, "-m", "automl_keras", "inspect", "model.tflite"])
    result = subprocess.run(
        ["bash", "-c", f"{words} | true; sleep 0"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
