"""A file for an Android app: with RGB input, measured, and put into the app's assets with its labels."""

from __future__ import annotations

import logging
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_keras.arguments import check_choice, check_instance
from automl_keras.data import CLASSIFICATION, Dataset, DatasetInfo, Regression, Task
from automl_keras.errors import InvalidArgumentError
from automl_keras.export.exporter import write_file
from automl_keras.export.flatbuffer import read
from automl_keras.export.inspection import activation_dtypes, peak_memory, weight_bits
from automl_keras.export.metadata import LABELS_FILE
from automl_keras.export.report import MIN_AGREEMENT, TFLiteReport
from automl_keras.export.rgb_input import PixelType, to_rgb, with_rgb_input
from automl_keras.export.runtime import TFLiteModel, median_latency

INPUTS: dict[str, PixelType | None] = {"native": None, "rgb_uint8": "uint8", "rgb_float32": "float32"}
MODEL_ASSET = "model.tflite"
LABELS_ASSET = LABELS_FILE
SOURCE_FOLDER = Path("app", "src", "main")

logger = logging.getLogger(__name__)


def check_app(input: str, android_project: str | Path | None, task: Task = CLASSIFICATION) -> None:
    """Refuse, before any work, what `write_for_app` could not do after it.

    Raises:
        InvalidTypeError: If the Android project is no path.
        InvalidArgumentError: If the input is unknown, the Android project has no `app/src/main`, or the file has values
            and no labels, which the app shows.
    """
    check_choice("input", input, set(INPUTS))
    if android_project is not None:
        if isinstance(task, Regression):
            raise InvalidArgumentError(
                "`android_project` must be None for values: the app shows labels. "
                f"Received: android_project={str(android_project)!r}"
            )
        check_android_project(check_instance("android_project", android_project, str | os.PathLike))


def write_for_app(
    native: TFLiteReport,
    path: str | Path,
    info: DatasetInfo,
    held_out: Dataset | None,
    *,
    input: str,
    android_project: str | Path | None,
) -> TFLiteReport:
    """Write a file that is measured already as an app wants it.

    Args:
        native: What was measured on that file, with its path.
        path: Where to write. The directory has to exist.
        info: Pixel type, range and classes of the data.
        held_out: See `export_rgb`.
        input: What the new file takes, a key of `INPUTS`. "native" copies the file.
        android_project: Folder of an app, into whose assets the file is copied as well; see `copy_to_assets`.

    Raises:
        InvalidArgumentError: If the network has neither one channel nor three, or the project no `app/src/main`.
        ExportError: If the file does not run.
    """
    pixels = INPUTS[input]
    report = native.save(path) if pixels is None else export_rgb(native, path, info, pixels, held_out)
    if android_project is not None:
        copy_to_assets(path, android_project)
    return report


def export_rgb(
    native: TFLiteReport, path: str | Path, info: DatasetInfo, pixels: PixelType, held_out: Dataset | None
) -> TFLiteReport:
    """Write a file with RGB input, made from a file that is measured already, and measure it.

    Args:
        native: What was measured on that file, with its path.
        path: Where to write. The directory has to exist.
        info: Pixel type, range and classes of the data.
        pixels: Type of the input; see `with_rgb_input`.
        held_out: Images to compare the two files on, in the user's units; `None` if there are none.

    Returns:
        The measurements of the new file. Its accuracy is that of the other file plus the difference between the two on
        `held_out`, which is the accuracy on them if the other file was measured on the same images. Its agreement is
        that with the other file. Without images both are the other file's, and a warning says so.

    Raises:
        InvalidArgumentError: If the network has neither one channel nor three.
        ExportError: If the file does not run. Nothing is written then.
    """
    data = with_rgb_input(Path(native.path).read_bytes(), info, pixels)
    images = np.zeros((1, *info.image_shape), np.float32) if held_out is None else held_out.images[:]
    rgb = to_rgb(images, info, pixels)
    write_file(data, path, info, rgb[:1])
    model = read(data)
    report = replace(
        native,
        path=str(path),
        size_kb=len(data) / 1000,
        latency_ms=median_latency(data),
        ram_kb=peak_memory(model) / 1000,
        bits=weight_bits(model),
        dtypes=activation_dtypes(model),
    )
    if held_out is None:
        return _with_warning(report, "Accuracy and agreement are those of the native file: no images were kept.")
    task = info.task
    before, after = (
        task.outputs_of(TFLiteModel(file).predict(taken)) for file, taken in ((native.path, images), (data, rgb))
    )
    was, becomes = (task.score(outputs, held_out.codes, held_out.sample_weight) for outputs in (before, after))
    score, agreement = min(1.0, native.score + becomes - was), task.agreement(after, before)
    if native.r2_score is None:
        report = replace(report, accuracy=max(0.0, score), agreement=agreement)
    else:
        report = replace(report, r2_score=score, agreement=agreement)
    if agreement >= MIN_AGREEMENT:
        return report
    return _with_warning(
        report, f"The agreement with the native file is only {agreement:.1%}, by the answers to {len(images)} images."
    )


def _with_warning(report: TFLiteReport, warning: str) -> TFLiteReport:
    logger.warning("%s", warning)
    return replace(report, warnings=(*report.warnings, warning))


def check_android_project(folder: str | Path) -> Path:
    """The `app/src/main` of an Android project.

    Raises:
        InvalidArgumentError: If there is none.
    """
    source = Path(folder) / SOURCE_FOLDER
    if not source.is_dir():
        raise InvalidArgumentError(
            f"`android_project` must be a folder with {SOURCE_FOLDER.as_posix()} in it. "
            f"Received: android_project={str(folder)!r}"
        )
    return source


def copy_to_assets(file: str | Path, android_project: str | Path) -> Path:
    """Copy a file and its labels into the assets of an Android project, over those of an earlier export.

    Each appears there whole or not at all.

    Args:
        file: A file of this package. It becomes `model.tflite`, and the labels inside `labels.txt`.
        android_project: Folder with `app/src/main` in it.

    Returns:
        The folder of the assets.

    Raises:
        InvalidArgumentError: If the project has no `app/src/main`.
    """
    assets = check_android_project(android_project) / "assets"
    assets.mkdir(exist_ok=True)
    with zipfile.ZipFile(file) as archive:
        labels = archive.read(LABELS_FILE)
    for name, data in ((LABELS_ASSET, labels), (MODEL_ASSET, Path(file).read_bytes())):
        unfinished = assets / f".unfinished_{name}"
        try:
            unfinished.write_bytes(data)
            unfinished.replace(assets / name)
        finally:
            unfinished.unlink(missing_ok=True)
    return assets
