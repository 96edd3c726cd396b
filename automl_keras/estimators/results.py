"""`FittedResults`: what can be read off an estimator once it is fitted."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import keras
import numpy.typing as npt
import tensorflow as tf

from automl_keras.arguments import check_instance
from automl_keras.data import Classification, Dataset, read_labelled
from automl_keras.errors import InvalidArgumentError, InvalidDataError, NotFittedError
from automl_keras.estimators.journal import read_journal
from automl_keras.estimators.project import FittedState, read_settings
from automl_keras.evaluation import Budget, Evaluation
from automl_keras.evaluation.file_limits import warned_of_budget
from automl_keras.export import TFLiteReport
from automl_keras.export.android import check_app, write_for_app
from automl_keras.reporting import (
    Answers,
    Predictions,
    SampleImages,
    SearchResults,
    Stage,
    fit_code,
    write_model_card,
    write_report,
)
from automl_keras.search_space import Architecture, image_space, network_space_from_dict
from automl_keras.training import TrainingCurve, predict

FIT_ARGUMENTS = ("validation_split", "epochs", "batch_size")  # those that a project keeps
PLACES = ("directory", "project_name", "overwrite")  # with them a fit would find the project instead of repeating it


class FittedResults:
    """Attributes and files of a fitted estimator, which keeps its `FittedState` in `_state`."""

    budget: Budget | None
    objective: str
    _state: FittedState
    _temporary: Any  # folders that are deleted with the estimator

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

    @property
    def training_curves_(self) -> tuple[TrainingCurve, ...]:
        """How the first small model, the rounds of the supernet and the final network were trained."""
        return self._fitted().curves

    def leaderboard(self) -> list[dict[str, Any]]:
        """One row for each evaluated network; `source` says where its numbers come from.

        The first row is the file that `export_tflite` gives, then other files, networks that were only
        scored with shared weights, and failed ones with their `error`.

        Raises:
            NotFittedError: Before `fit`.
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
        """The Keras model: raw pixels to probabilities, preprocessing inside.

        Raises:
            NotFittedError: Before `fit`.
        """
        return self._fitted().model

    def export_tflite(
        self,
        path: str | Path,
        input: Literal["native", "rgb_uint8", "rgb_float32"] = "native",
        android_project: str | Path | None = None,
    ) -> TFLiteReport:
        """Write the `.tflite` file to `path`, which appears there whole or not at all.

        ```python
        clf.export_tflite("model.tflite", input="rgb_uint8", android_project="MyApp")
        ```

        Args:
            path: Where to write. The directory has to exist.
            input: What the file takes. "native": images as those of `fit`; the measured file is copied. "rgb_uint8":
                red, green and blue from 0 to 255, as a `Bitmap` has them. "rgb_float32": the three channels as floats
                in the units of `fit`. MediaPipe Tasks' `ImageClassifier` takes files with RGB input only; grey
                networks get a layer in front that mixes the channels. Weights and their types stay what they are.
            android_project: Folder of an Android app with `app/src/main` in it: the file is copied into its assets as
                well, as `model.tflite`, and the labels as `labels.txt`.

        Returns:
            What was measured on the file. With RGB input it is measured again: `agreement` is that with the native
            file, and `accuracy` has changed by as much as the two differ on the images that the fit has kept. A warning
            says so if the layer in front makes it break the budget, which holds for the native file.

        Raises:
            InvalidTypeError: If `path` or `android_project` is no path.
            InvalidArgumentError: If `input` is unknown, the Android project has no `app/src/main` or the file no labels
                for it, or RGB input is asked for from a network of neither one channel nor three.
            ExportError: If the file does not run.
            NotFittedError: Before `fit`.
        """
        state = self._fitted()
        check_instance("path", path, str | os.PathLike)
        check_app(input, android_project, state.info.task)
        native = replace(state.report, path=str(state.tflite_path))
        held_out = None if state.samples is None or input == "native" else state.samples.held_out
        report = write_for_app(native, path, state.info, held_out, input=input, android_project=android_project)
        return report if input == "native" else warned_of_budget(report, self.budget)

    def report(
        self,
        path: str | Path,
        x: npt.ArrayLike | str | Path | tf.data.Dataset | None = None,
        y: npt.ArrayLike | None = None,
    ) -> None:
        """Write all about the fit into one HTML file, which needs no network, and a model card beside it.

        ```python
        clf.report("report.html", x_test, y_test)  # and report.md
        ```

        Args:
            path: The HTML file. The model card, in Markdown, has the same name with the suffix `.md`.
            x: Images as for `fit`, best ones it has not seen: for the confusion matrix, scores of single classes,
                calibration and mistakes, or what takes their place where images have several labels or values. `None`
                leaves these out; no images are kept but some of the search.
            y: Their labels; `None` for a folder or a data set.

        Raises:
            InvalidTypeError: If `path` is no path.
            InvalidArgumentError: If `path` does not end in `.html`.
            InvalidDataError: If `x` and `y` are not as in `fit`.
            NotFittedError: Before `fit`.
        """
        state = self._fitted()
        target = Path(check_instance("path", path, str | os.PathLike))
        if target.suffix.lower() not in (".html", ".htm"):
            raise InvalidArgumentError(f"`path` must end in .html. Received: path={str(path)!r}")
        predictions: Predictions | Answers | None = None
        samples = None
        if x is not None:
            data = self._training_data(x, y, None)
            kind = Predictions if isinstance(state.info.task, Classification) else Answers
            predictions = kind(data.images, data.codes, predict(state.model, data.images))
        elif y is not None:
            raise InvalidDataError("`y` must be None if there is no `x`. Received: y without x")
        elif state.shared is not None:
            samples = SampleImages(state.shared.samples["images"], state.shared.samples["codes"])
        results = self._search_results(state)
        write_report(results, target, predictions, samples)
        write_model_card(results, target.with_suffix(".md"), predictions)

    def _search_results(self, state: FittedState) -> SearchResults:
        """What is known of the fit, as plain values."""
        folder = state.tflite_path.parent
        asked = read_settings(folder)
        signature = inspect.signature(type(self)).parameters
        arguments = cast(Any, self).get_params(deep=False)
        arguments["seed"] = read_journal(folder).get("seed", arguments["seed"])  # also one that was drawn
        usual = json.loads(json.dumps(image_space(state.info.image_shape, state.info.num_outputs).to_dict()))
        if asked.get("space", usual) != usual:  # what is loaded from a project does not hold its space
            arguments["search_space"] = network_space_from_dict(asked["space"])
        changed = {
            name: value for name, value in arguments.items() if name not in PLACES and value != signature[name].default
        }
        fit_arguments = {name: asked[name] for name in FIT_ARGUMENTS if asked.get(name) is not None}
        return SearchResults(
            info=state.info,
            best=state.best,
            evaluations=state.evaluations,
            report=state.report,
            file=state.tflite_path,
            stages=state.stages,
            curves=state.curves,
            plan=state.plan,
            objective=self.objective,
            budget=arguments["budget"],
            seed=arguments["seed"],
            # What was cut out of a supernet or scaled up has no stages: a fit alone does not repeat it.
            code=fit_code(type(self).__name__, changed, fit_arguments) if state.stages else "",
        )

    def _training_data(self, x: Any, y: Any, sample_weight: npt.ArrayLike | None) -> Dataset:
        info = self._fitted().info
        data = read_labelled(x, y, sample_weight, self._fitted().codec, info.image_shape)
        if data.images.shape[1:] != info.image_shape:
            raise InvalidDataError(
                f"`x` must have images of shape {info.image_shape}. Received: images of shape {data.images.shape[1:]}"
            )
        return Dataset(data.images, data.codes, data.sample_weight)

    def _fitted(self) -> FittedState:
        state: FittedState | None = getattr(self, "_state", None)
        if state is None:
            raise NotFittedError(f"`fit` must be called first. Received: an unfitted {type(self).__name__}")
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_state")
