"""One training, many devices: what a fitted estimator with shared weights can do for other budgets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from automl_keras.arguments import check_choice, check_count, check_instance, check_seconds
from automl_keras.data import Dataset
from automl_keras.errors import ExportError, InvalidArgumentError, SearchError
from automl_keras.estimators.mixed_files import without_bits
from automl_keras.estimators.project import TFLITE_FILE, with_answers
from automl_keras.estimators.results import FittedResults
from automl_keras.estimators.samples import Samples, without
from automl_keras.estimators.scaling_up import ScaleUp
from automl_keras.estimators.settings import QUANTIZATIONS, UNIFORM
from automl_keras.estimators.specializing import Specializer
from automl_keras.evaluation import Budget, Evaluation, Quantization
from automl_keras.export import TFLiteReport
from automl_keras.search_space import EFFICIENTNET, ScalingCoefficients
from automl_keras.training import OWN_AUGMENTATION, Limit, recipe_space, train_network

METRICS = ("size_kb", "latency_ms", "macs", "params", "ram_kb")


class ManyDevices(FittedResults):
    """Answers for other budgets than that of `fit`, from the supernet that it trained.

    Files are in one type throughout: int8 where the fit searched the bits of layers; `quantize` searches them.
    """

    def pareto_front(
        self, metric: Literal["size_kb", "latency_ms", "macs", "params", "ram_kb"] = "size_kb", *, max_trials: int = 40
    ) -> list[Evaluation]:
        """The networks of the supernet that none beats in both accuracy and a cost, cheapest first.

        Accuracies are those with shared weights, before any training of a network on its own.

        Args:
            metric: The cost.
            max_trials: How many networks to evaluate beyond those that are known; some tenths of a second each.

        Raises:
            SearchError: If the fit trained no supernet.
            InvalidArgumentError: If the metric is unknown or `max_trials` negative.
            InvalidTypeError: If `max_trials` is no integer.
            NotFittedError: Before `fit`.
        """
        check_choice("metric", metric, set(METRICS))
        check_count("max_trials", max_trials, smallest=0)
        return self._specializer().pareto_front(metric, max_trials)

    def specialize(
        self,
        budget: Budget,
        *,
        fine_tune: float | None = None,
        x: npt.ArrayLike | str | Path | tf.data.Dataset | None = None,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """A classifier for another device, cut out of the supernet, calibrated, exported and measured.

        Nothing is trained unless `fine_tune` is given. Its accuracy comes from validation images of the fit that
        neither the supernet was trained on nor the network is tuned on: they are left out of `x`. What was
        evaluated for one budget is known for the next, so an answer may depend on the questions before it.

        ```python
        for kilobytes in (20, 40, 80, 160):
            clf.specialize(Budget(max_size_kb=kilobytes)).export_tflite(f"model_{kilobytes}.tflite")
        ```

        Args:
            budget: The limits of the device.
            fine_tune: Seconds for which the network goes on learning by itself, from `x` and `y`.
            x: Training images as for `fit`, if `fine_tune` is given.
            y: Their labels.
            sample_weight: (n,), how much each image counts.

        Raises:
            SearchError: If the fit trained no supernet, or no file kept the budget.
            InfeasibleBudgetError: If no network of the supernet keeps the budget.
            InvalidTypeError: If `budget` is no `Budget`.
            InvalidArgumentError: If `fine_tune` is not positive, or given without `x`.
            InvalidDataError: If `x` and `y` are not as in `fit`, or all images are among those it validated on.
            NotFittedError: Before `fit`.
        """
        check_instance("budget", budget, Budget)
        check_seconds("fine_tune", fine_tune)
        if (fine_tune is None) != (x is None):
            raise InvalidArgumentError(
                f"`fine_tune` and `x` must be given together. Received: fine_tune={fine_tune}, x={type(x).__name__}"
            )
        specializer = self._specializer()
        data = None
        if fine_tune is not None:
            data = without(self._training_data(x, y, sample_weight), specializer.held_out.images[:])
        with _new_folder() as (folder, path):
            failures = []
            for candidate in specializer.best(budget):
                model = specializer.subnet(candidate.architecture)
                try:
                    report, cost = specializer.export(candidate, model, path, budget)
                    if data is not None and fine_tune is not None:
                        self._fine_tune(model, data, fine_tune)
                        report, cost = specializer.export(candidate, model, path, budget)
                except ExportError as error:
                    failures.append(str(error))
                    continue
                best = Evaluation(candidate.architecture, {self.objective: report.score}, cost, "file")
                return self._like(model, best, report, path, budget, folder, evaluations=[best, candidate])
            raise SearchError(f"No file of the networks found kept the budget. Received: {'; '.join(failures)}")

    def scale_up(
        self,
        budget: Budget,
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        *,
        seconds: float,
        sample_weight: npt.ArrayLike | None = None,
        coefficients: ScalingCoefficients = EFFICIENTNET,
    ) -> Self:
        """A classifier for a larger device: the network found, deeper, wider and finer, trained from the start.

        Compound scaling (Tan and Le, ICML 2019, section 3.3) by the largest phi that the budget allows.

        Args:
            budget: The limits of the device, at least one.
            x: Training images as for `fit`. One in ten is kept to measure the file on.
            y: Their labels.
            seconds: Of training.
            sample_weight: (n,), how much each image counts.
            coefficients: How depth, width and resolution grow together; EfficientNet's by default.

        Raises:
            InfeasibleBudgetError: If the network found breaks the budget itself.
            InvalidTypeError: If it is not of the image space, or `budget` is no `Budget`.
            InvalidArgumentError: If the budget has no limit, or `seconds` is not positive.
            InvalidDataError: If `x` and `y` are not as in `fit`.
            ExportError: If the file does not work or breaks the budget.
            NotFittedError: Before `fit`.
        """
        state = self._fitted()
        check_instance("budget", budget, Budget)
        limit = check_seconds("seconds", seconds)
        if limit is None:
            raise InvalidArgumentError("`seconds` must be given. Received: seconds=None")
        seed = cast(Any, self).seed or 0
        larger = ScaleUp(
            without_bits(state.best.architecture),
            state.info,
            budget,
            coefficients=coefficients,
            seed=seed,
            quantization=self._uniform_quantization,
        )
        data = self._training_data(x, y, sample_weight)
        with _new_folder() as (folder, path):
            scaled = larger.train(data, path, seconds=limit)
            best = scaled.evaluation
            other = self._like(scaled.model, best, scaled.report, path, budget, folder, evaluations=[best])
            samples = Samples.keep(path.parent, scaled.train, scaled.held_out, seed=seed)
        other._state.samples = samples
        other._state.shared = other._state.specializer = None  # they are of the small network's supernet
        return other

    def _like(
        self,
        model: keras.Model,
        best: Evaluation,
        report: TFLiteReport,
        path: Path,
        budget: Budget,
        folder: tempfile.TemporaryDirectory[str],
        *,
        evaluations: list[Evaluation],
    ) -> Self:
        """A fitted estimator with the same arguments but for the budget."""
        other = type(self)(**{**cast(Any, self).get_params(), "budget": budget, "directory": None})
        other._state = replace(
            self._fitted(),
            model=with_answers(model, self._fitted().info.task),
            best=best,
            report=report,
            evaluations=evaluations,
            tflite_path=path,
            plan=None,
            stages=(),
            curves=(),
        )
        other._temporary = (folder, getattr(self, "_temporary", None))  # deleted with the last one that needs them
        return other

    def _fine_tune(self, model: keras.Model, data: Dataset, seconds: float) -> None:
        state = self._fitted()
        recipe = recipe_space().default() if state.plan is None else state.plan["recipe"]
        augmentation = cast(Any, self).augmentation
        if not isinstance(augmentation, str):  # of a loaded project it is not known
            recipe = {**recipe, OWN_AUGMENTATION: augmentation}
        weights = data.sample_weight
        train_network(
            model,
            data.images,
            data.codes,
            {**recipe, "distillation": False},
            Limit(seconds=seconds),
            sample_weight=None if weights is None else (weights / weights.mean()).astype(np.float32),
            seed=cast(Any, self).seed or 0,
            task=state.info.task,
        )

    @property
    def _uniform_quantization(self) -> Quantization:
        return UNIFORM[QUANTIZATIONS[cast(Any, self).quantization]]

    def _specializer(self) -> Specializer:
        state = self._fitted()
        if state.shared is None:
            raise SearchError(
                'The fit must have trained a supernet: give it more time, or name a system such as "once_for_all". '
                "Received: a classifier without shared weights"
            )
        if state.specializer is None:
            # Scores of a joint search are those of rounded weights: for files of one type they say little.
            known = [] if cast(Any, self).quantization == "joint" else state.evaluations
            state.specializer = Specializer(
                state.shared,
                known,
                objective=self.objective,
                quantization=self._uniform_quantization,
            )
        return state.specializer


@contextmanager
def _new_folder() -> Iterator[tuple[tempfile.TemporaryDirectory[str], Path]]:
    """A folder for a file, removed at once if there will be no file."""
    folder = tempfile.TemporaryDirectory(prefix="automl_keras_")
    try:
        yield folder, Path(folder.name) / TFLITE_FILE
    except BaseException:
        folder.cleanup()
        raise
