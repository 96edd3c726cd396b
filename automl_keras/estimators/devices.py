"""One training, many devices: what a fitted estimator with shared weights can do for other budgets."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import keras
import numpy.typing as npt
import tensorflow as tf

from automl_keras.data import Dataset, read_labelled
from automl_keras.errors import ExportError, InvalidArgumentError, SearchError
from automl_keras.estimators.arguments import check_choice, check_count, check_instance, check_seconds
from automl_keras.estimators.project import TFLITE_FILE, FittedState, with_probabilities
from automl_keras.estimators.results import FittedResults
from automl_keras.estimators.scaling_up import scale_up
from automl_keras.estimators.specializing import Specializer
from automl_keras.evaluation import Budget, Evaluation
from automl_keras.search_space import EFFICIENTNET, ScalingCoefficients
from automl_keras.training import Limit, recipe_space, train_network

METRICS = ("size_kb", "latency_ms", "macs", "params", "ram_kb")


class ManyDevices(FittedResults):
    """Answers for other budgets than that of `fit`, from the supernet that it trained."""

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
    ) -> Self:
        """A classifier for another device, cut out of the supernet, calibrated, exported and measured.

        Nothing is trained unless `fine_tune` is given. Its accuracy comes from validation images that the supernet
        was not trained on.

        ```python
        for kilobytes in (20, 40, 80, 160):
            clf.specialize(Budget(max_size_kb=kilobytes)).export_tflite(f"model_{kilobytes}.tflite")
        ```

        Args:
            budget: The limits of the device.
            fine_tune: Seconds for which the network goes on learning by itself, from `x` and `y`.
            x: Training images as for `fit`, if `fine_tune` is given.
            y: Their labels.

        Raises:
            SearchError: If the fit trained no supernet, or no file kept the budget.
            InfeasibleBudgetError: If no network of the supernet keeps the budget.
            InvalidTypeError: If `budget` is no `Budget`.
            InvalidArgumentError: If `fine_tune` is not positive, or given without `x`.
        """
        check_instance("budget", budget, Budget)
        check_seconds("fine_tune", fine_tune)
        if (fine_tune is None) != (x is None):
            raise InvalidArgumentError(
                f"`fine_tune` and `x` must be given together. Received: fine_tune={fine_tune}, x={type(x).__name__}"
            )
        specializer, failures = self._specializer(), []
        folder = tempfile.TemporaryDirectory(prefix="automl_keras_")
        path = Path(folder.name) / TFLITE_FILE
        for candidate in specializer.best(budget):
            model = specializer.subnet(candidate.architecture)
            if fine_tune is not None:
                self._fine_tune(model, x, y, fine_tune)
            try:
                report = specializer.export(candidate, model, path, budget)
            except ExportError as error:
                failures.append(str(error))
                continue
            cost = replace(candidate.cost, size_kb=report.size_kb, ram_kb=report.ram_kb, latency_ms=report.latency_ms)
            best = Evaluation(candidate.architecture, {"val_accuracy": report.accuracy}, cost, "file")
            own = replace(
                self._fitted(),
                model=with_probabilities(model),
                best=best,
                report=report,
                evaluations=[best, candidate],
                tflite_path=path,
                plan=None,
                stages=(),
            )
            return self._like(own, budget, folder)
        raise SearchError(f"No file of the networks found kept the budget. Received: {'; '.join(failures)}")

    def scale_up(
        self,
        budget: Budget,
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        *,
        seconds: float,
        coefficients: ScalingCoefficients = EFFICIENTNET,
    ) -> Self:
        """A classifier for a larger device: the network found, deeper, wider and finer, trained from the start.

        Compound scaling (Tan and Le, ICML 2019, section 3.3) by the largest phi that the budget allows.

        Args:
            budget: The limits of the device.
            x: Training images as for `fit`. One in ten is kept to measure the file on.
            y: Their labels.
            seconds: Of training.
            coefficients: How depth, width and resolution grow together; EfficientNet's by default.

        Raises:
            InfeasibleBudgetError: If the network found breaks the budget itself.
            InvalidTypeError: If it is not of the image space, or `budget` is no `Budget`.
            ExportError: If the file does not work or breaks the budget.
        """
        state = self._fitted()
        check_instance("budget", budget, Budget)
        limit = check_seconds("seconds", seconds)
        if limit is None:
            raise InvalidArgumentError("`seconds` must be given. Received: seconds=None")
        data = read_labelled(x, y, None, state.codec, state.info.image_shape)
        folder = tempfile.TemporaryDirectory(prefix="automl_keras_")
        path = Path(folder.name) / TFLITE_FILE
        scaled = scale_up(
            state.best.architecture,
            state.info,
            budget,
            Dataset(data.images, data.codes),
            path,
            seconds=limit,
            coefficients=coefficients,
            seed=0 if cast(Any, self).seed is None else cast(Any, self).seed,
        )
        own = replace(
            state,
            model=with_probabilities(scaled.model),
            best=scaled.evaluation,
            report=scaled.report,
            evaluations=[scaled.evaluation],
            tflite_path=path,
            plan=None,
            stages=(),
            shared=None,
            specializer=None,
        )
        return self._like(own, budget, folder)

    def _like(self, state: FittedState, budget: Budget, folder: Any) -> Self:
        """An estimator with the same arguments but for the budget, fitted."""
        other = type(self)(**{**cast(Any, self).get_params(), "budget": budget, "directory": None})
        other._state = state
        other._temporary = (folder, getattr(self, "_temporary", None))  # deleted with the last one that needs them
        return other

    def _fine_tune(self, model: keras.Model, x: Any, y: Any, seconds: float) -> None:
        state = self._fitted()
        data = read_labelled(x, y, None, state.codec, state.info.image_shape)
        recipe = recipe_space().default() if state.plan is None else state.plan["recipe"]
        train_network(model, data.images, data.codes, {**recipe, "distillation": False}, Limit(seconds=seconds))

    def _specializer(self) -> Specializer:
        state = self._fitted()
        if state.shared is None:
            raise SearchError(
                "The fit must have trained a supernet: give it more time, or name a `tuner`. "
                f"Received: the plan {(state.plan or {}).get('reason')!r}"
            )
        if state.specializer is None:
            state.specializer = Specializer(state.shared, state.evaluations, objective=self.objective)
        return state.specializer
