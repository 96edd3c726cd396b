"""`FittedResults`: what can be read off an estimator once it is fitted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from automl_keras.errors import NotFittedError
from automl_keras.estimators.project import FittedState
from automl_keras.evaluation import Evaluation
from automl_keras.export import TFLiteReport
from automl_keras.reporting import Stage
from automl_keras.search_space import Architecture


class FittedResults:
    """Attributes and files of a fitted estimator, which keeps its `FittedState` in `_state`."""

    objective: str
    _state: FittedState
    _temporary: Any  # folders that are deleted with the estimator

    @property
    def classes_(self) -> np.ndarray:
        """The labels, sorted."""
        return self._fitted().codec.classes_

    @property
    def best_architecture_(self) -> Architecture:
        """The network found."""
        return self._fitted().best.architecture

    @property
    def best_evaluation_(self) -> Evaluation:
        """What is known about the network found and its file."""
        return self._fitted().best

    @property
    def evaluations_(self) -> list[Evaluation]:
        """Everything that was evaluated: files in the order they were made, then networks with shared weights."""
        return list(self._fitted().evaluations)

    @property
    def report_(self) -> TFLiteReport:
        """What was measured on the exported file; its accuracy comes from images that no network had seen by then."""
        return self._fitted().report

    @property
    def tflite_path_(self) -> Path:
        """Where the exported file is now; `export_tflite` copies it."""
        return self._fitted().tflite_path

    @property
    def plan_(self) -> dict[str, Any] | None:
        """The plan of the fit, `None` if it was interrupted before there was one."""
        return self._fitted().plan

    @property
    def stages_(self) -> tuple[Stage, ...]:
        """Where the time of the last call of `fit` went: its stages in order, which add up to all that it took."""
        return self._fitted().stages

    def leaderboard(self) -> list[dict[str, Any]]:
        """One row for each evaluated network; `source` says where its numbers come from.

        The first row is the file that `export_tflite` gives, then other files, networks that were only
        scored with shared weights, and failed ones with their `error`.
        """
        state = self._fitted()

        def order(evaluation: Evaluation) -> tuple[bool, bool, bool, float]:
            value = evaluation.metrics.get(self.objective, 0.0)
            return evaluation != state.best, evaluation.error is not None, evaluation.source != "file", -value

        return [
            {
                "rank": rank,
                self.objective: evaluation.metrics.get(self.objective),
                "source": evaluation.source,
                **evaluation.cost.to_dict(),
                "architecture": evaluation.architecture,
                "error": evaluation.error,
            }
            for rank, evaluation in enumerate(sorted(state.evaluations, key=order), start=1)
        ]

    def export_model(self) -> keras.Model:
        """The Keras model: raw pixels to probabilities, preprocessing inside."""
        return self._fitted().model

    def export_tflite(self, path: str | Path) -> TFLiteReport:
        """Copy the measured `.tflite` file to `path`, which appears there whole or not at all."""
        state = self._fitted()
        target = Path(path)
        unfinished = target.with_name(f".unfinished_{target.name}")
        shutil.copyfile(state.tflite_path, unfinished)
        unfinished.replace(target)
        return replace(state.report, path=str(target))

    def _fitted(self) -> FittedState:
        state: FittedState | None = getattr(self, "_state", None)
        if state is None:
            raise NotFittedError(f"`fit` must be called first. Received: an unfitted {type(self).__name__}")
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_state")
