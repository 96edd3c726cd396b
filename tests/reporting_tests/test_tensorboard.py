from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting import write_tensorboard
from automl_keras.training import CurvePoint, TrainingCurve
from automl_keras.tuners import TrialRecord

DONE = TrialRecord(
    "0000",
    "COMPLETED",
    {"units": 16, "rate": 0.1, "kind": "conv", "wide": True, "taps": (1, 2)},
    score=0.9,
    metrics={"val_accuracy": 0.9},
    history={"val_accuracy": {0: 0.5, 1: 0.9}, "loss": {0: 1.0, 1: float("nan")}},
    started=100.0,
    ended=103.5,
)
FAILED = TrialRecord("0001", "FAILED", {"units": 8}, message="broke", started=104.0, ended=105.0)
RUNNING = TrialRecord("0002", "RUNNING", {"units": 4}, started=105.0)
WAITING = TrialRecord("0003", "INVALID", {"units": 4}, started=105.0, ended=106.0)


def run(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def scalars(found: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in found.Tensors(name)]
        for name in found.Tags()["tensors"]
        if not name.startswith("_hparams_")
    }


def test_trials_are_runs_with_their_curves(tmp_path: Path) -> None:
    project = SimpleNamespace(trials=(DONE, FAILED, RUNNING, WAITING), curves=())
    assert write_tensorboard(project, tmp_path / "runs") == 2
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["0000", "0001"]
    found = scalars(run(tmp_path / "runs" / "0000"))
    assert found["val_accuracy"] == [(0, 0.5), (1, pytest.approx(0.9))]
    assert found["loss"] == [(0, 1.0)]
    assert found["score"] == [(0, pytest.approx(0.9))] and found["seconds"] == [(0, 3.5)]
    assert "score" not in scalars(run(tmp_path / "runs" / "0001"))


def test_hyperparameters_keep_their_types(tmp_path: Path) -> None:
    write_tensorboard(SimpleNamespace(trials=(DONE,), curves=()), tmp_path)
    metadata = run(tmp_path / "0000").SummaryMetadata("_hparams_/session_start_info")
    data = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info
    assert data.hparams["units"].number_value == 16 and data.hparams["rate"].number_value == pytest.approx(0.1)
    assert data.hparams["kind"].string_value == "conv" and data.hparams["wide"].bool_value
    assert data.hparams["taps"].string_value == "(1, 2)"
    assert data.start_time_secs == 100.0


def test_a_later_call_adds_what_is_new(tmp_path: Path) -> None:
    write_tensorboard(SimpleNamespace(trials=(DONE,), curves=()), tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "0000").iterdir()}
    assert write_tensorboard(SimpleNamespace(trials=(DONE, FAILED), curves=()), tmp_path) == 1
    assert {path: path.read_bytes() for path in (tmp_path / "0000").iterdir()} == before


def test_trainings_are_runs_with_their_curves(tmp_path: Path) -> None:
    points = CurvePoint(4, 0.5, 1.5, 2.0, 0.25), CurvePoint(8, 1.0, 2.5, float("nan"), 0.125)
    curves = TrainingCurve("final network", points), TrainingCurve("supernet, round 1: sandwich", points[:1])
    assert write_tensorboard(SimpleNamespace(trials=(DONE,), curves=curves), tmp_path) == 3
    runs = tmp_path / "trainings"
    assert sorted(path.name for path in runs.iterdir()) == ["final_network", "supernet_round_1_sandwich"]
    assert scalars(run(runs / "final_network")) == {
        "loss": [(4, 2.0)],
        "learning_rate": [(4, 0.25), (8, 0.125)],
        "epoch": [(4, 0.5), (8, 1.0)],
        "seconds": [(4, 1.5), (8, 2.5)],
    }
    assert write_tensorboard(SimpleNamespace(trials=(DONE,), curves=curves), tmp_path) == 0


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgumentError, match="`folder` must not be a file"):
        write_tensorboard(SimpleNamespace(trials=(), curves=()), tmp_path / "file")
