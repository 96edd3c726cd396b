import json
from pathlib import Path

import pytest

from automl_keras.cli import main
from automl_keras.export import operations as export_operations
from tests.cli_tests.conftest import Workplace, run


def test_every_operation_is_timed_once(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = []

    def time_operation(model: object, operator: object, spec: object) -> float:
        timed.append(spec)
        return float(len(timed))

    specs = 2 * export_operations.operation_specs(Path("model.tflite").read_bytes())
    monkeypatch.setattr(export_operations, "operations", lambda model: [(None, spec) for spec in specs])
    monkeypatch.setattr(export_operations, "time_operation", time_operation)
    code, output = run("bench", "model.tflite", "--threads", "1,2", "--json")
    facts = json.loads(output)
    assert code == 0
    assert [row["threads"] for row in facts["latencies"]] == [1, 2]
    assert all(row["latency_ms"] > 0 for row in facts["latencies"])
    assert timed == list(dict.fromkeys(specs))
    assert [row["latency_ms"] for row in facts["operations"]] == [timed.index(spec) + 1 for spec in specs]
    assert [row["operation"] for row in facts["operations"]] == [spec.kind for spec in specs]
    assert sum(row["share"] for row in facts["operations"]) == pytest.approx(1.0)


def test_operations_that_cannot_be_taken_apart_are_said_to_be_so(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_operation(*arguments: object) -> float:
        raise KeyError("an operation of another make")

    monkeypatch.setattr(export_operations, "time_operation", time_operation)
    code, text = run("bench", "model.tflite", "--threads", "1")
    assert code == 0
    assert text.endswith("Its operations cannot be timed one by one: KeyError: 'an operation of another make'\n")
    _, output = run("bench", "model.tflite", "--threads", "1", "--json")
    assert json.loads(output)["operations_error"] == "KeyError: 'an operation of another make'"


def test_a_broken_file_is_refused(workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "half.tflite").write_bytes(Path("model.tflite").read_bytes()[:5000])
    assert main(["bench", str(tmp_path / "half.tflite")]) == 1
    assert "automl-keras bench: A .tflite file must be whole." in capsys.readouterr().err
