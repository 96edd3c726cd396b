"""AutoKeras 3.0.0, one trial, in an environment of its own: it does not work with the Keras that this package uses.

The environment, about 1 GB, is made at the first run.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Data
from results_table import FLOAT

from automl_keras.export import TFLiteModel, median_latency

ENVIRONMENT = Path(__file__).resolve().parents[1] / "build" / "autokeras"  # ignored by git
# AutoKeras 3.0.0 cannot fit with Keras 3.13 or later; Keras-Tuner's trials need tensorboard.
REQUIREMENTS = ("autokeras==3.0.0", "keras==3.12.4", "tensorflow-cpu==2.21.0", "tensorboard")
CHILD = Path(__file__).with_name("autokeras_child.py")


def environment_python() -> Path:
    """The interpreter of the environment, which is made if it is missing."""
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / "ready"
    if not ready.exists():
        print(f"Making the environment of AutoKeras in {ENVIRONMENT}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        ready.touch()
    return python


def run_autokeras(data: Data, epochs: int | None, seed: int) -> dict[str, dict[str, Any]]:
    """`ImageClassifier(max_trials=1)` of AutoKeras, in its own time.

    Args:
        data: The data set.
        epochs: Of the trial and of the final fit; `None` for its default, until ten do not help.
        seed: Its seed; AutoKeras is not repeatable all the same.

    Returns:
        Results of TensorFlow's int8 file (post-training quantization), under "", and of the float32 file, under
        `FLOAT`.
    """
    python = environment_python()
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "data.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test)
        command = [str(python), str(CHILD), folder, str(epochs or 0), str(seed)]
        subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr)
        told = json.loads((Path(folder) / "result.json").read_text())
        answers = np.load(Path(folder) / "answers.npy")
        files = {"": Path(folder, "int8.tflite").read_bytes(), FLOAT: Path(folder, "float32.tflite").read_bytes()}
    # AutoKeras knows the classes by their texts, in the order of the texts.
    names, truth = np.unique(data.y_train.astype(str)), data.y_test.astype(str)
    return {
        name: {
            "file": _accuracy(file, data.x_test, names, truth),
            "keras": float((answers == truth).mean()),
            "kB": len(file) / 1000,
            "latency ms": median_latency(file),
            "networks": 1,
            "seconds": told["seconds"],
            "peak GB": told["peak GB"],
        }
        for name, file in files.items()
    }


def _accuracy(file: bytes, images: np.ndarray, names: np.ndarray, truth: np.ndarray) -> float:
    model = TFLiteModel(file)
    scores = model.predict(images.reshape(-1, *model.image_shape))
    return float((names[scores.argmax(axis=1)] == truth).mean())
