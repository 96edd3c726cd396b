"""What a fitted classifier is on disk: a folder of JSON, a Keras model and the `.tflite` file; no pickle."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from automl_keras.arguments import check_instance
from automl_keras.data import DatasetInfo, Regression, TargetCodec, Task, codec_from_dict
from automl_keras.errors import AutoMLError, InvalidArgumentError, ProjectError
from automl_keras.estimators.samples import FILE as SAMPLES_FILE
from automl_keras.estimators.samples import Samples
from automl_keras.estimators.shared_weights import FOLDER as SHARED_WEIGHTS_FOLDER
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.estimators.specializing import Specializer
from automl_keras.evaluation import Evaluation
from automl_keras.export import TFLiteReport
from automl_keras.reporting import Stage
from automl_keras.training import TrainingCurve, read_curves, write_curves

FORMAT = 2
CLASSIFIER_FILE = "classifier.json"
SETTINGS_FILE = "project.json"
MODEL_FILE = "model.keras"
TFLITE_FILE = "model.tflite"


@dataclass
class FittedState:
    """All that a fitted classifier knows.

    Attributes:
        model: Raw pixels to answers, such as probabilities.
        codec: Between labels or values and targets.
        info: Facts about the data.
        best: The evaluation of the network found.
        report: What was measured on the file.
        evaluations: Everything that was evaluated.
        tflite_path: The file.
        plan: The plan as JSON, or `None`.
        stages: Where the time of the fit went.
        shared: The supernet, if the fit trained one.
        specializer: What asks it, once anybody has.
        samples: Some images, to make and measure other files with.
        curves: How the trainings of the fit went.
    """

    model: keras.Model
    codec: TargetCodec
    info: DatasetInfo
    best: Evaluation
    report: TFLiteReport
    evaluations: list[Evaluation]
    tflite_path: Path
    plan: dict[str, Any] | None
    stages: tuple[Stage, ...]
    shared: SharedWeights | None = None
    specializer: Specializer | None = None
    samples: Samples | None = None
    curves: tuple[TrainingCurve, ...] = ()

    def save(self, directory: Path, parameters: dict[str, Any]) -> None:
        """Write everything into a folder; the description comes last and makes it complete."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CLASSIFIER_FILE).unlink(missing_ok=True)
        self.model.save(directory / MODEL_FILE)
        target = directory / TFLITE_FILE
        if self.tflite_path.resolve() != target.resolve():
            shutil.copyfile(self.tflite_path, target)
        if self.shared is not None:
            self.shared.copy_to(directory)
        else:  # another classifier may have been saved here
            shutil.rmtree(directory / SHARED_WEIGHTS_FOLDER, ignore_errors=True)
        if self.samples is not None:
            self.samples.copy_to(directory)
        else:
            (directory / SAMPLES_FILE).unlink(missing_ok=True)
        write_curves(directory, self.curves)
        self.describe(directory, parameters)

    def describe(self, directory: Path, parameters: dict[str, Any]) -> None:
        """Write the description alone, over an earlier one."""
        description = {
            "format": FORMAT,
            "parameters": parameters,
            "codec": self.codec.to_dict(),
            "info": self.info.to_dict(),
            "best": self.best.to_dict(),
            "report": self.report.to_dict(),
            "evaluations": [evaluation.to_dict() for evaluation in self.evaluations],
            "plan": self.plan,
            "stages": [stage.to_dict() for stage in self.stages],
        }
        unfinished = directory / f"unfinished_{CLASSIFIER_FILE}"
        unfinished.write_text(json.dumps(description, indent=1))
        unfinished.replace(directory / CLASSIFIER_FILE)

    @classmethod
    def load(cls, directory: Path) -> tuple[FittedState, dict[str, Any]]:
        """Read what `save` wrote: the state and the parameters.

        Raises:
            ProjectError: If the folder holds no saved classifier, one of another format, or one that is damaged.
        """
        path = directory / CLASSIFIER_FILE
        if not path.is_file():
            raise ProjectError(f"A saved classifier must have the file {CLASSIFIER_FILE}. Received: {directory}")
        try:
            return cls._read(directory)
        except AutoMLError:
            raise
        except Exception as error:  # whatever Keras and the readers of JSON run into
            raise ProjectError(
                f"A saved classifier must be whole. Received: {directory} ({type(error).__name__}: {error})"
            ) from error

    @classmethod
    def _read(cls, directory: Path) -> tuple[FittedState, dict[str, Any]]:
        description = json.loads((directory / CLASSIFIER_FILE).read_text())
        if description.get("format") != FORMAT:
            raise ProjectError(
                f"The saved classifier must be of format {FORMAT}. Received: format={description.get('format')!r}"
            )
        info = DatasetInfo.from_dict(description["info"])
        state = cls(
            model=keras.models.load_model(directory / MODEL_FILE, safe_mode=True),
            codec=codec_from_dict(description["codec"]),
            info=info,
            best=Evaluation.from_dict(description["best"]),
            report=TFLiteReport.from_dict(description["report"]),
            evaluations=[Evaluation.from_dict(item) for item in description["evaluations"]],
            tflite_path=directory / TFLITE_FILE,
            plan=description["plan"],
            stages=tuple(Stage(**stage) for stage in description["stages"]),
            shared=SharedWeights.find(directory, info),
            samples=Samples.find(directory),
            curves=read_curves(directory),
        )
        return state, description["parameters"]


def project_folder(
    directory: str | os.PathLike[str] | None, project_name: str
) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """The folder of a project, and the temporary one that it is in where the user gave none.

    Raises:
        InvalidTypeError: If an argument is of another type.
        InvalidArgumentError: If the name is empty.
    """
    check_instance("project_name", project_name, str)
    if not project_name:
        raise InvalidArgumentError(f"`project_name` must not be empty. Received: project_name={project_name!r}")
    if directory is not None:
        check_instance("directory", directory, str | os.PathLike)
        return Path(directory) / project_name, None
    temporary = tempfile.TemporaryDirectory(prefix="automl_keras_")
    return Path(temporary.name) / project_name, temporary


def read_settings(directory: Path) -> dict[str, Any]:
    """What a project was begun with; empty if the folder does not say.

    Raises:
        ProjectError: If the file is damaged.
    """
    path = directory / SETTINGS_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ProjectError(f"A file of a project must be JSON. Received: {path} ({error})") from error


def claim_directory(directory: Path, settings: dict[str, Any], *, overwrite: bool) -> bool:
    """Take a project folder for a fit with these settings; returns whether it holds the finished result already.

    The folder of an unfinished project of the same settings is left as it is, to be gone on with.

    Raises:
        ProjectError: If the path is a file or a folder of something else, or the folder holds a project
            of other data or settings and `overwrite` is false, or a damaged one.
    """
    if directory.is_file():
        raise ProjectError(f"`directory` must be a folder. Received: the file {directory}")
    settings = json.loads(json.dumps(settings))
    path = directory / SETTINGS_FILE
    if directory.is_dir() and any(directory.iterdir()):
        if not path.is_file():
            raise ProjectError(f"The folder must be empty or a project of this package. Received: {directory}")
        if overwrite:
            shutil.rmtree(directory)
    if path.is_file():
        before = read_settings(directory)
        different = sorted(name for name in settings if before.get(name) != settings[name])
        if different:
            raise ProjectError(
                "The project was begun with other data or settings; pass overwrite=True to replace it. "
                f"Received: {directory} with different {', '.join(different)}"
            )
        if (directory / CLASSIFIER_FILE).is_file():
            return True
    try:
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = directory / f"unfinished_{SETTINGS_FILE}"
        unfinished.write_text(json.dumps(settings, indent=1))
        unfinished.replace(path)
    except OSError as error:
        raise ProjectError(f"`directory` must be a folder one can write to. Received: {directory} ({error})") from error
    return False


def with_answers(model: keras.Model, task: Task) -> keras.Model:
    """A network with the layer of its task behind it, such as a softmax."""
    name = "image_regressor" if isinstance(task, Regression) else "image_classifier"
    return keras.Model(model.input, task.output_layer()(model.output), name=name)
