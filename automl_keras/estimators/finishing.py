"""The last stage: train a network to the end, export it, measure its file and keep the best."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import ExportError, InfeasibleBudgetError, SearchError
from automl_keras.estimators.files_within import export_untuned, measure_within
from automl_keras.estimators.journal import Journal
from automl_keras.estimators.mixed_files import MixedFile, divided, mixed_files, with_bits, without_bits
from automl_keras.estimators.spaces import NetworkSpaces
from automl_keras.estimators.validating import make_validation
from automl_keras.evaluation import Budget, Evaluation
from automl_keras.export import TFLiteReport
from automl_keras.export.exporter import draw_images, write_file
from automl_keras.quantization.fine_tuning import PLAIN
from automl_keras.reporting import TimedReporter
from automl_keras.search_space import Architecture
from automl_keras.training import CurveRecorder, Limit, train_network

FINAL_NETWORK = "final network"
RESERVE_SECONDS = 1.0
FIRST_GUESS_SECONDS = 4.0


@dataclass(frozen=True)
class Finished:
    """A trained network with its exported and measured file.

    Attributes:
        architecture: What it is; the evaluation's one also has the bits of its layers where they were searched.
        model: Raw pixels to logits.
        path: The `.tflite` file.
        report: What was measured on the file.
        evaluation: The same as a row of the leaderboard.
    """

    architecture: Architecture
    model: keras.Model
    path: Path
    report: TFLiteReport
    evaluation: Evaluation


class Finisher:
    """Finishes networks one after the other and remembers the best.

    Args:
        budget: A file beyond it is refused.
        info: Facts about the data.
        train: What networks are trained on, with weights of the loss.
        held_out: What files are measured on.
        directory: Where files are written.
        reporter: Told about progress and results.
        journal: Keeps what is finished, and the training in progress, for a later fit.
        spaces: Of the networks, for costs that are not measured on the file, and the kind of the files.
        seed: Seeds training and calibration.
        callbacks: Copies of them are called in every training.
    """

    def __init__(
        self,
        budget: Budget,
        info: DatasetInfo,
        train: Dataset,
        held_out: Dataset,
        directory: Path,
        reporter: TimedReporter,
        journal: Journal,
        *,
        spaces: NetworkSpaces,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        self.spaces = spaces
        self.budget = budget
        self.info = info
        self.train = train
        self.held_out = held_out
        self.directory = directory
        self.reporter = reporter
        self.journal = journal
        self.seed = seed
        self.callbacks = tuple(callbacks)
        self.best: Finished | None = None
        self.evaluations: list[Evaluation] = []
        self.failures: list[str] = []
        self.seconds_needed = FIRST_GUESS_SECONDS
        self._in_training: tuple[Architecture, keras.Model] | None = None
        self._num_trained = 0

    def train_and_finish(
        self,
        architecture: Architecture,
        model: keras.Model,
        recipe: Mapping[str, Any],
        limit: Limit,
        *,
        teacher: keras.Model | None,
        batch_size: int,
    ) -> Finished:
        """Train to the limit, then `finish`."""
        self._in_training = (architecture, model)
        tuning = None
        if self._searches_bits:
            limit, tuning = divided(limit)
        if limit.begin < 1.0:
            self._train(architecture, model, recipe, limit, teacher, batch_size)
        if self._searches_bits:  # which takes a while
            self.journal.keep_training(architecture, 1.0, model.get_weights())
        try:
            finished = self.finish(architecture, model, tuning=tuning, augmentation=recipe)
        except ExportError:
            self.journal.forget_training()
            raise
        self.journal.forget_training()
        self._in_training = None
        return finished

    def _train(
        self,
        architecture: Architecture,
        model: keras.Model,
        recipe: Mapping[str, Any],
        limit: Limit,
        teacher: keras.Model | None,
        batch_size: int,
    ) -> None:
        """Train and keep the curve.

        By the clock alone a training cannot be repeated, so its state is kept now and then.
        """
        self._num_trained += 1
        name = FINAL_NETWORK if self._num_trained == 1 else f"{FINAL_NETWORK}, candidate {self._num_trained}"
        interrupted = self.journal.training()
        curve = CurveRecorder(() if interrupted is None else interrupted.curve)

        def keep(progress: float, weights: list[np.ndarray]) -> None:
            self.journal.keep_training(architecture, progress, weights, curve.points)

        try:
            log = train_network(
                model,
                self.train.images,
                self.train.codes,
                recipe,
                limit,
                sample_weight=self.train.sample_weight,
                teacher=teacher,
                batch_size=batch_size,
                seed=self.seed,
                on_progress=self.advance,
                on_checkpoint=keep if limit.steps is None else None,
                curve=curve,
                callbacks=copy.deepcopy(self.callbacks),
                validate=make_validation(model, self.info.task, self.held_out) if self.callbacks else None,
                task=self.info.task,
            )
        finally:  # after Ctrl-C its network may be the result
            self.journal.keep_curve(name, curve.points)
        speed = f"{log.images_per_second:.0f} images per second"
        self.reporter.message(f"Trained for {log.epochs:.1f} epochs, {speed}.")

    @property
    def _searches_bits(self) -> bool:
        return self.spaces.quantization in ("mixed", "joint")

    def advance(self, progress: float) -> None:
        """Tell the progress of a training, in [0, 1], to the user and to the journal."""
        self.reporter.advance(progress)
        self.journal.tick()

    def finish(
        self,
        architecture: Architecture,
        model: keras.Model,
        *,
        tuning: Limit | None = None,
        augmentation: Mapping[str, Any] = PLAIN,
    ) -> Finished:
        """Export, measure and compare with the best so far; a later network wins ties and near ties.

        Args:
            architecture: What it is.
            model: Raw pixels to logits.
            tuning: Where bits are searched: when to end the tuning of the weights for them; `None` for none.
            augmentation: For that tuning.

        Raises:
            ExportError: If there is no working file, or it breaks the budget.
        """
        if self._searches_bits:
            return self._finish_mixed(architecture, model, tuning, augmentation)
        return self._compared(self.export_and_measure(architecture, model))

    def _compared(self, finished: Finished) -> Finished:
        if finished.report.score >= self.score_to_match():
            self.keep(finished)
        else:
            self.evaluations.append(finished.evaluation)
        return finished

    def _finish_mixed(
        self, architecture: Architecture, model: keras.Model, tuning: Limit | None, augmentation: Mapping[str, Any]
    ) -> Finished:
        """Finish the files of several bit policies; the result is the most accurate one, of equal ones the last."""
        best: Finished | None = None
        try:
            for file in mixed_files(
                model,
                self.info,
                self.budget,
                self.train,
                tuning=tuning,
                augmentation=augmentation,
                seed=self.seed,
                reporter=self.reporter,
            ):
                with suppress(ExportError):  # it is among the failures
                    finished = self.export_and_measure(architecture, file.model, file)
                    if best is None or finished.report.score >= best.report.score:
                        best = self._compared(finished)
                    else:
                        self.evaluations.append(finished.evaluation)
                    self._in_training = None  # it has a file: after Ctrl-C there is nothing to finish
        except (ExportError, InfeasibleBudgetError, SearchError) as error:
            self.failures.append(str(error))
            self.reporter.message(f"The search of bits ended early: {error}")
        if best is None:
            raise ExportError(f"No file of mixed precision keeps the budget. Received: {self.failures[-1]}")
        return best

    def export_and_measure(
        self, architecture: Architecture, model: keras.Model, mixed: MixedFile | None = None
    ) -> Finished:
        """Write a network's file and measure it; nothing is compared.

        Args:
            architecture: What it is.
            model: Raw pixels to logits.
            mixed: The file, if it is made already.

        Raises:
            ExportError: If there is no working file, or it breaks the budget; that is added to the evaluations.
        """
        start = time.monotonic()
        self.reporter.stage("export and measure")
        path = self.directory / f"network_{len(self.evaluations)}.tflite"
        try:
            finished = self._export(architecture, model, path, start, mixed)
        except ExportError as error:
            self.failures.append(str(error))
            self.evaluations.append(Evaluation(architecture, source="file", error=str(error)))
            self._in_training = None  # after Ctrl-C it would fail again
            raise
        self.seconds_needed = 1.3 * (time.monotonic() - start) + RESERVE_SECONDS
        return finished

    def keep(self, finished: Finished) -> None:
        """Make it the best and remember it for a later fit."""
        self.evaluations.append(finished.evaluation)
        self.best = finished
        self._tell(finished.report)
        self.journal.keep_best(finished.model, self._description(finished))

    def _description(self, finished: Finished) -> dict[str, Any]:
        return {
            "evaluation": finished.evaluation.to_dict(),
            "report": finished.report.to_dict(),
            "file": finished.path.name,
            "evaluations": [evaluation.to_dict() for evaluation in self.evaluations],
            "failures": self.failures,
            "seconds_needed": self.seconds_needed,
        }

    def restore(self) -> None:
        """Take over what the journal holds of an earlier fit."""
        known = self.journal.facts["best"]
        evaluation = Evaluation.from_dict(known["evaluation"])
        self.best = Finished(
            architecture=without_bits(evaluation.architecture),
            model=self.journal.best_model(),
            path=self.directory / known["file"],
            report=TFLiteReport.from_dict(known["report"]),
            evaluation=evaluation,
        )
        self.evaluations = [Evaluation.from_dict(item) for item in known["evaluations"]]
        self.failures = list(known["failures"])
        self.seconds_needed = known["seconds_needed"]
        self._tell(self.best.report)

    def _tell(self, report: TFLiteReport) -> None:
        self.reporter.result(report.score, report.size_kb, self.info.task.metric)

    def score_to_match(self) -> float:
        """What a later network, trained longer, must reach: not worse than the best by two standard errors."""
        if self.best is None:
            return -math.inf
        score = self.best.report.score
        return score - 2.0 * self.info.task.standard_error(score, self.held_out.num_examples)

    def _export(
        self, architecture: Architecture, model: keras.Model, path: Path, start: float, mixed: MixedFile | None
    ) -> Finished:
        info, images, seed = self.info, self.train.images, self.seed
        if mixed is None:
            export_untuned(model, path, info, self.spaces.quantization, calibration_images=images, seed=seed)
        else:
            write_file(mixed.data, path, info, draw_images(images, seed))
        predicted = self.spaces.cost(architecture)
        report, cost = measure_within(
            model,
            path,
            self.budget,
            predicted if mixed is None else replace(predicted, bit_ops=mixed.bit_ops),
            self.held_out,
            task=info.task,
            evaluating=self.reporter.evaluating(),
        )
        metrics = {f"val_{info.task.metric}": report.score}
        evaluated = architecture if mixed is None else with_bits(architecture, mixed.policy)
        evaluation = Evaluation(evaluated, metrics, cost, "file", seconds=time.monotonic() - start)
        return Finished(architecture, model, path, report, evaluation)

    def finish_interrupted(self) -> None:
        """Give the network whose training was interrupted a chance to be the best, unless it is already."""
        if self._in_training is not None:
            architecture, model = self._in_training
            self._in_training = None
            if self.best is not None and self.best.model is model:
                return
            try:
                self.finish(architecture, model)
            except ExportError as error:
                self.reporter.message(f"The interrupted network could not be exported: {error}")
