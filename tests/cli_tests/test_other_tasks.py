"""The commands and files of values: `inspect` shows them, `predict` says that they are not for the shell."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from automl_keras.data import DatasetInfo, MultiLabel, Regression, Task
from automl_keras.export import export_float
from tests.cli_tests.conftest import run

IMAGES = np.random.default_rng(0).random((8, 8, 8, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("task", "labels"), [(Regression((5.0,), (2.0,)), ()), pytest.param(MultiLabel(), (0,), marks=pytest.mark.slow)]
)
def test_a_file_of_another_task(
    task: Task, labels: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    info = DatasetInfo((8, 8, 1), "float32", (0.5,), (0.3,), (0.0, 1.0), labels, 8, 2, task)
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Dense(1, name="logits")(keras.layers.Flatten()(image)))
    path = export_float(model, tmp_path / "model.tflite", info, calibration_images=IMAGES, seed=0)
    code, output = run("inspect", str(path), "--json")
    facts = json.loads(output)
    assert (code, facts["problems"]) == (0, []) and (facts["labels"] or []) == [str(label) for label in labels]
    assert run("predict", str(path), "digits")[0] == 1
    assert "classifiers with one label for each image" in capsys.readouterr().err
