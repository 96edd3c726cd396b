from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.estimators import (
    files_within,
    finishing,
    fitting,
    image_estimator,
    mirroring,
    probing,
    refitting,
    spaces,
)
from automl_keras.estimators.journal import Journal
from automl_keras.estimators.project import FittedState
from automl_keras.estimators.searching import Searcher
from automl_keras.export import TFLiteReport
from automl_keras.training import Limit, TrainingLog


class StandIns:
    """What a fit does at length, done at once: networks are one layer, trainings change nothing, files are no files.

    Attributes:
        interrupts: Ctrl-C comes at the beginning of these calls: (name, number of the call).
        accuracies: Of the files, one after the other; the last one again for all that follow.
        sizes: In kB, likewise.
        trained: Name, images and limit of each training.
    """

    def __init__(self) -> None:
        self.interrupts: set[tuple[str, int]] = set()
        self.accuracies = [0.5, 0.6, 0.7, 0.8]
        self.sizes = [20.0]
        self.trained: list[tuple[str, int, Limit]] = []
        self.calls: Counter[str] = Counter()

    def begin(self, name: str) -> int:
        self.calls[name] += 1
        if (name, self.calls[name]) in self.interrupts:
            raise KeyboardInterrupt
        return self.calls[name]

    def build_network(self, spec: object, info: DatasetInfo, seed: int) -> keras.Model:
        image = keras.Input(info.image_shape)
        logits = keras.layers.Dense(info.num_outputs)(keras.layers.Flatten()(image))
        return keras.Model(image, logits)

    def train(self, name: str) -> Callable[..., TrainingLog]:
        def train_network(model, images, codes, recipe, limit, *, on_progress, **settings: Any) -> TrainingLog:
            self.trained.append((name, len(images), limit))
            on_progress(0.5)
            self.begin(name)
            on_progress(1.0)
            return TrainingLog(steps=10, epochs=1.0, seconds=1.0, loss=1.0, images_per_second=1e5)

        return train_network

    def export_int8(self, model: object, path: Path, *args: object, **settings: object) -> None:
        self.begin("export")
        path.write_bytes(b"file")

    def measure_file(self, path: Path, *args: object, **settings: object) -> TFLiteReport:
        index = self.begin("measure") - 1
        accuracy, size = (values[min(index, len(values) - 1)] for values in (self.accuracies, self.sizes))
        return TFLiteReport(str(path), size, accuracy, 1.0, 1.0, {}, {}, 1.0, "none", "none")

    def predict(self, model: object, images: Any) -> np.ndarray:
        return np.zeros((len(images), 10), np.float32)

    def search(self, *args: object, **settings: object) -> tuple[list, None]:
        self.begin("search")
        return [], None

    def before(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **settings: Any) -> Any:
            self.begin(name)
            return function(*args, **settings)

        return call


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """Makes fits quick, and interrupts them where it is told to."""
    made = StandIns()
    monkeypatch.setattr(spaces, "build_network", made.build_network)
    monkeypatch.setattr(fitting, "train_network", made.train("small training"))
    monkeypatch.setattr(finishing, "train_network", made.train("final training"))
    monkeypatch.setattr(refitting, "train_network", made.train("refit"))
    monkeypatch.setattr(files_within, "export_int8", made.export_int8)
    monkeypatch.setattr(files_within, "measure_file", made.measure_file)
    monkeypatch.setattr(files_within, "predict", made.predict)
    monkeypatch.setattr(mirroring, "predict", made.predict)
    monkeypatch.setattr(Searcher, "search", made.search)
    for owner, name in (
        (image_estimator, "prepare_data"),
        (probing, "small_sample"),
        (Journal, "keep_best"),
        (FittedState, "save"),
        (FittedState, "describe"),
    ):
        monkeypatch.setattr(owner, name, made.before(name, getattr(owner, name)))
    return made
