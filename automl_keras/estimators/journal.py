"""`Journal`: what an unfinished fit has reached, so that the next one goes on from there."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from automl_keras.errors import ProjectError
from automl_keras.search_space import Architecture
from automl_keras.training import CurvePoint, TrainingCurve, read_curves, write_curves

JOURNAL_FILE = "journal.json"
BEST_MODEL_FILE = "best.keras"
TRAINING_FILE = "training.npz"
TICK_SECONDS = 2.0


@dataclass(frozen=True)
class InterruptedTraining:
    """A final training that did not come to its end.

    Attributes:
        architecture: Of the network in training.
        progress: How much of the schedule was behind it, in [0, 1].
        weights: The weights it had then.
        curve: How it went so far.
    """

    architecture: Architecture
    progress: float
    weights: list[np.ndarray]
    curve: tuple[CurvePoint, ...] = ()


class Journal:
    """A JSON file in the project folder, rewritten whole at every change, beside weights it speaks of.

    Keys of `facts`: "seconds" that earlier fits took, the "seed", and, as soon as they are known, "max_latency_ms"
    (what predicted latencies must keep), "plan", "rounds_done" (of the supernet's training), "searched" (whether the
    search is over) with the "evaluations" that it made, "best" (what is finished) and "finished" (whether the final
    training is over).

    Args:
        directory: The project folder.
        start: Value of `time.monotonic()` when the present fit began.
    """

    def __init__(self, directory: Path, start: float) -> None:
        self.directory = directory
        self.facts = read_journal(directory)
        self.curves = read_curves(directory)
        self._start = start - self.facts.get("seconds", 0.0)
        self._ticked = time.monotonic()

    def write(self, **facts: Any) -> None:
        """Add to what is known, with the seconds taken so far."""
        self.facts.update(facts, seconds=time.monotonic() - self._start)
        unfinished = self.directory / f"unfinished_{JOURNAL_FILE}"
        unfinished.write_text(json.dumps(self.facts))
        unfinished.replace(self.directory / JOURNAL_FILE)

    def tick(self) -> None:
        """Note the time now and then, so that a killed fit is not given it again."""
        if time.monotonic() - self._ticked >= TICK_SECONDS:
            self._ticked = time.monotonic()
            self.write()

    def keep_best(self, model: keras.Model, description: dict[str, Any]) -> None:
        """Keep a finished network."""
        unfinished = self.directory / f"unfinished_{BEST_MODEL_FILE}"
        model.save(unfinished)
        unfinished.replace(self.directory / BEST_MODEL_FILE)
        self.write(best=description)

    def best_model(self) -> keras.Model:
        """The network of `keep_best`."""
        return keras.models.load_model(self.directory / BEST_MODEL_FILE, safe_mode=True, compile=False)

    def keep_curve(self, name: str, points: Sequence[CurvePoint]) -> None:
        """Keep how a training went that made any steps; one that is repeated takes the place of the one before."""
        if points:
            others = (curve for curve in self.curves if curve.name != name)
            self.curves = (*others, TrainingCurve(name, tuple(points)))
            write_curves(self.directory, self.curves)

    def keep_training(
        self,
        architecture: Architecture,
        progress: float,
        weights: list[np.ndarray],
        curve: Sequence[CurvePoint] = (),
    ) -> None:
        """Keep the state of the final training."""
        unfinished = self.directory / f"unfinished_{TRAINING_FILE}"
        so_far = TrainingCurve("", tuple(curve)).to_dict()
        about = np.array(json.dumps({"architecture": architecture.to_dict(), "progress": progress, "curve": so_far}))
        arrays: dict[str, Any] = {f"weight_{index}": weight for index, weight in enumerate(weights)}
        np.savez(unfinished, about=about, **arrays)
        unfinished.replace(self.directory / TRAINING_FILE)

    def training(self) -> InterruptedTraining | None:
        """What `keep_training` kept, if there is anything."""
        path = self.directory / TRAINING_FILE
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as saved:
            about = json.loads(str(saved["about"]))
            weights = [saved[f"weight_{index}"] for index in range(len(saved.files) - 1)]
        return InterruptedTraining(
            architecture=Architecture.from_dict(about["architecture"]),
            progress=about["progress"],
            weights=weights,
            curve=TrainingCurve.from_dict(about["curve"]).points,
        )

    def forget_training(self) -> None:
        """The training came to its end, or its network cannot be used."""
        (self.directory / TRAINING_FILE).unlink(missing_ok=True)


def read_journal(directory: Path) -> dict[str, Any]:
    """The facts in the journal of a folder; empty if there is none.

    Raises:
        ProjectError: If the file is no journal.
    """
    path = directory / JOURNAL_FILE
    if not path.is_file():
        return {}
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ProjectError(f"The journal of a project must be JSON. Received: {path} ({error})") from error
    return facts
