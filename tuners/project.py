"""`Project`: what a search has found so far, read from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_keras.errors import MissingDependencyError, ProjectError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.search_space import Architecture
from automl_keras.training import TrainingCurve, read_curves
from automl_keras.tuners.durable_oracle import reason
from automl_keras.tuners.oracle import GENERATION, PHASE
from automl_keras.tuners.storage import STORAGE_FILE, Event, StorageReader

if TYPE_CHECKING:
    import pandas as pd

# What `ImageClassifier` writes; only its facts are read here.
CLASSIFIER_FILE = "classifier.json"
JOURNAL_FILE = "journal.json"
SETTINGS_FILE = "project.json"


@dataclass(frozen=True)
class TrialRecord:
    """What is known of one trial.

    Attributes:
        trial_id: Its name.
        status: As in Keras-Tuner: "RUNNING", "COMPLETED", "FAILED", or "INVALID" if it waits to be repeated.
        values: Its hyperparameters, and what else it tells a tuner.
        score: Its objective, `None` unless it is completed.
        metrics: The latest value of each metric.
        history: All values of each metric, by step: of epochs, or of the phases in which a policy learnt.
        message: Why it failed, or `None`.
        worker: Who ran it last.
        started: When it was begun last, in seconds since 1970.
        ended: When it ended, or `None`.
    """

    trial_id: str
    status: str
    values: Mapping[str, Any]
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    message: str | None = None
    worker: str = ""
    started: float = 0.0
    ended: float | None = None


class Project:
    """Reads a project folder: that of a tuner (`directory/project_name`), or that of an `ImageClassifier`.

    It may be read while a search is running in another process; every answer is as new as can be, and nothing is
    ever written.

    ```python
    tuner = keras_tuner.Tuner(EvolutionOracle(max_trials=20), build_model, directory="search", project_name="digits")
    tuner.search(x, y, validation_split=0.2, epochs=3, verbose=0)

    project = Project("search/digits")  # here, or in another process
    print(project.best.architecture, len(project.trials))
    ```

    Args:
        directory: The folder.

    Raises:
        ProjectError: If the folder holds no project of this package.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        found = [self.directory / STORAGE_FILE, *sorted(self.directory.glob(f"*/{STORAGE_FILE}"))]
        found = [path for path in found if path.is_file()]
        is_classifier = (self.directory / SETTINGS_FILE).is_file() or (self.directory / CLASSIFIER_FILE).is_file()
        if len(found) != 1 and not is_classifier:
            raise ProjectError(
                "`directory` must be the folder of one project. Received: "
                f"{self.directory} with {[str(path.parent) for path in found] or 'none'}"
            )
        self._reader = StorageReader(found[0].parent) if found else None
        self._records: dict[str, TrialRecord] = {}
        self._names: set[str] = set()
        self._num_events = 0

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials of the search, in the order they were created."""
        if self._reader is not None:
            if self._num_events == 0:
                self._names = {entry["config"]["name"] for entry in self._settings().get("hyperparameters", [])}
            for event in self._reader.events(after=self._num_events):
                self._apply(event)
                self._num_events = event.number
        return tuple(self._records.values())

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan of a classifier, `None` if there is none (yet).

        Raises:
            ProjectError: If a file of the project is damaged, as for all that is read of it.
        """
        plan = (self._json(CLASSIFIER_FILE) or self._json(JOURNAL_FILE)).get("plan")
        return None if plan is None else dict(plan)

    @property
    def curves(self) -> tuple[TrainingCurve, ...]:
        """Loss and learning rate of the trainings of a classifier that have ended; none of a tuner's.

        Raises:
            ProjectError: If their file is damaged.
        """
        return read_curves(self.directory)

    @property
    def best(self) -> Evaluation | None:
        """The best that is known: the file of a finished classifier, else the best trial; `None` before any.

        Raises:
            ProjectError: If a file of the project is damaged.
        """
        finished = self._json(CLASSIFIER_FILE)
        if finished:
            return Evaluation.from_dict(finished["best"])
        return next((evaluation for evaluation in self.leaderboard() if evaluation.error is None), None)

    def leaderboard(self) -> list[Evaluation]:
        """Everything that was evaluated, best first, failed ones last.

        Of a finished classifier: its file first, then other files, then what shared weights say.

        Raises:
            ProjectError: If a file of the project is damaged.
        """
        finished = self._json(CLASSIFIER_FILE)
        if finished:
            evaluations = [Evaluation.from_dict(item) for item in finished["evaluations"]]
            best, objective, sign = Evaluation.from_dict(finished["best"]), finished["parameters"]["objective"], 1.0
        else:
            ended = [record for record in self.trials if record.status in ("COMPLETED", "FAILED")]
            ended.sort(key=lambda record: record.ended or 0.0)  # among equals the first that ended is better
            evaluations = [self._evaluation(record) for record in ended if not _is_round(record)]
            objective, best = self._settings().get("objective", {}).get("name", ""), None
            sign = -1.0 if self._settings().get("objective", {}).get("direction") == "min" else 1.0

        def order(evaluation: Evaluation) -> tuple[bool, bool, bool, float]:
            value = sign * evaluation.metrics[objective] if objective in evaluation.metrics else -math.inf
            return evaluation != best, evaluation.error is not None, evaluation.source != "file", -value

        return sorted(evaluations, key=order)

    def trials_frame(self) -> pd.DataFrame:
        """The trials as a pandas frame: one row each, values and metrics as columns.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError("`trials_frame` needs pandas: pip install pandas") from error
        rows = [
            {
                "trial_id": record.trial_id,
                "status": record.status,
                "score": record.score,
                **{f"values.{name}": value for name, value in record.values.items()},
                **{f"metrics.{name}": value for name, value in record.metrics.items()},
                "seconds": None if record.ended is None else record.ended - record.started,
                "started": pd.Timestamp(record.started, unit="s", tz="UTC"),
                "worker": record.worker,
                "message": record.message,
            }
            for record in self.trials
        ]
        return pd.DataFrame(rows)

    def _settings(self) -> dict[str, Any]:
        settings = None if self._reader is None else self._reader.fact("settings")
        return settings or {}

    def _json(self, name: str) -> dict[str, Any]:
        path = self.directory / name
        try:
            return dict(json.loads(path.read_text())) if path.is_file() else {}
        except json.JSONDecodeError as error:
            raise ProjectError(f"A file of a project must be JSON. Received: {path} ({error})") from error

    def _apply(self, event: Event) -> None:
        data = event.data
        if event.trial_id is None:
            self._names.update(entry["config"]["name"] for entry in data["space"])
            return
        if event.kind == "create":
            record = TrialRecord(event.trial_id, "RUNNING", data["values"], worker=data["tuner_id"], started=event.time)
        else:
            record = self._records[event.trial_id]
        if event.kind == "restart":
            record = TrialRecord(event.trial_id, "RUNNING", record.values, worker=data["tuner_id"], started=event.time)
        elif event.kind == "update":
            history = {name: {**record.history.get(name, {}), data["step"]: v} for name, v in data["metrics"].items()}
            record = replace(
                record, metrics={**record.metrics, **data["metrics"]}, history={**record.history, **history}
            )
        elif event.kind == "lost":
            record = replace(record, status="INVALID", ended=event.time)
        elif event.kind == "end":
            record = replace(
                record,
                status=data["status"],
                score=data["score"],
                message=data["message"],
                values=data.get("values", record.values),
                ended=event.time,
            )
        self._records[event.trial_id] = record

    def _evaluation(self, record: TrialRecord) -> Evaluation:
        metrics = {name: value for name, value in record.metrics.items() if name not in Cost.names()}
        if record.score is not None:
            metrics[self._settings()["objective"]["name"]] = record.score
        return Evaluation(
            architecture=Architecture({n: value for n, value in record.values.items() if n in self._names}),
            metrics=metrics,
            cost=Cost.from_metrics(dict(record.metrics)),
            source="shared_weights" if PHASE in record.values else "standalone",
            generation=record.values.get(GENERATION, 0),
            seconds=(record.ended or record.started) - record.started,
            error=None if record.status == "COMPLETED" else reason(record.message),
        )


def _is_round(record: TrialRecord) -> bool:
    return record.values.get(PHASE) == "train"
