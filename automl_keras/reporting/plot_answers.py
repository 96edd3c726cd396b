"""Figures of what a network says about images with labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting.diagnostics import (
    CALIBRATION_BINS,
    calibration,
    class_scores,
    confusion_matrix,
    sample_places,
    worst_mistakes,
)
from automl_keras.reporting.figures import ACCENT, DARK, GREY, LIGHT, literal, new_figure, plain_axes, short
from automl_keras.reporting.pixels import as_bytes
from automl_keras.reporting.results import target_text

if TYPE_CHECKING:
    from automl_keras.data import DatasetInfo
    from automl_keras.reporting.results import Predictions, SampleImages

COLUMNS = 8  # of pictures
ABOVE_PICTURE, SHORTEST = 17, 9  # letters of a name, alone and before a percentage
MAX_NUMBERS = 30  # classes up to which numbers are written into a confusion matrix


def plot_confusion_matrix(
    codes: np.ndarray, predicted: np.ndarray, classes: Sequence[object], path: str | os.PathLike[str]
) -> None:
    """Draw how many images of each class (rows) are taken for each class (columns), as a square PNG.

    Args:
        codes: The right classes, integers of shape `(n,)`.
        predicted: The answers, likewise.
        classes: Their names.
        path: The file to write; an existing one is replaced.

    Raises:
        InvalidArgumentError: If there are no images, their numbers differ or a class is out of range.
    """
    counts = confusion_matrix(codes, predicted, len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = int(np.clip(220 + 46 * len(classes), 500, 1600))
    figure = new_figure(side, side)
    axes = plain_axes(figure, "Confusion", "Answer", "Class")
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    names = [literal(short(name)) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    if len(classes) <= MAX_NUMBERS:
        for row, column in zip(*counts.nonzero(), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=color)
    figure.savefig(path, format="png")


def plot_class_scores(
    codes: np.ndarray, predicted: np.ndarray, classes: Sequence[object], path: str | os.PathLike[str]
) -> None:
    """Draw precision, recall and F1 of each class, as a PNG 900 pixels wide.

    Args:
        codes: The right classes, integers of shape `(n,)`.
        predicted: The answers, likewise.
        classes: Their names.
        path: The file to write; an existing one is replaced.

    Raises:
        InvalidArgumentError: If there are no images, their numbers differ or a class is out of range.
    """
    scores = class_scores(confusion_matrix(codes, predicted, len(classes)))
    figure = new_figure(900, 160 + 40 * len(classes))
    axes = plain_axes(figure, "Single classes", "Share")
    for place, (name, color) in enumerate((("precision", LIGHT), ("recall", DARK), ("f1", ACCENT))):
        values = np.nan_to_num([getattr(score, name) for score in scores])
        axes.barh(np.arange(len(scores)) + 0.26 * (place - 1), values, height=0.24, color=color, label=name)
    names = [f"{literal(short(name))} ({score.support})" for name, score in zip(classes, scores, strict=True)]
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0.0, 1.0)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, format="png")


def plot_calibration(
    codes: np.ndarray, probabilities: np.ndarray, path: str | os.PathLike[str], *, num_bins: int = CALIBRATION_BINS
) -> None:
    """Draw a reliability diagram (Guo et al., ICML 2017, figure 1), as a PNG of 700 x 700 pixels.

    Args:
        codes: The right classes, integers of shape `(n,)`.
        probabilities: `(n, classes)`.
        path: The file to write; an existing one is replaced.
        num_bins: How many bins of equal width there are.

    Raises:
        InvalidArgumentError: If there are no images, or `num_bins` is below 1.
    """
    found = calibration(codes, probabilities, num_bins=num_bins)
    figure = new_figure(700, 700)
    title = f"Calibration: expected error {found.error:.4f}"
    axes = plain_axes(figure, title, "Confidence", "Share of right answers")
    left, width = np.array(found.edges[:-1]), 1.0 / num_bins
    axes.bar(left, np.nan_to_num(found.accuracies), width, align="edge", color=LIGHT, edgecolor="white", label="right")
    axes.hlines(found.confidences, left, left + width, color=DARK, linewidth=2, label="mean confidence")
    axes.plot([0, 1], [0, 1], linestyle="--", color=GREY, label="as sure as right")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, format="png")


def plot_mistakes(
    predictions: Predictions, info: DatasetInfo, path: str | os.PathLike[str], *, count: int = 24
) -> None:
    """Draw the wrong answers given with the greatest probability, the worst first, as a PNG 900 pixels wide.

    Args:
        predictions: Images with labels and answers.
        info: Facts about the data.
        path: The file to write; an existing one is replaced.
        count: How many images at most.

    Raises:
        InvalidArgumentError: If all answers are right.
    """
    places = worst_mistakes(predictions.codes, predictions.probabilities, count)
    if len(places) == 0:
        raise InvalidArgumentError("`predictions` must hold a mistake. Received: only right answers")
    predicted = predictions.predicted[places]
    sure = predictions.probabilities[places, predicted]
    words = [
        f"{short(info.classes[answer], SHORTEST)} ({share:.1%})\nis {short(info.classes[code], ABOVE_PICTURE)}"
        for answer, share, code in zip(predicted, sure, predictions.codes[places], strict=True)
    ]
    _pictures(predictions.images[places], words, info, path, "Worst mistakes")


def plot_samples(samples: SampleImages, info: DatasetInfo, path: str | os.PathLike[str], *, count: int = 24) -> None:
    """Draw images of all classes, as a PNG 900 pixels wide.

    Args:
        samples: Images with their classes.
        info: Facts about the data.
        path: The file to write; an existing one is replaced.
        count: How many images at most.

    Raises:
        InvalidArgumentError: If there are no images.
    """
    if len(samples.codes) == 0:
        raise InvalidArgumentError("`samples` must hold an image. Received: none")
    places = sample_places(info.task.strata(samples.codes), count)
    words = [short(target_text(info, target), ABOVE_PICTURE) for target in samples.codes[places]]
    _pictures(samples.images[places], words, info, path, "Images")


def _pictures(
    images: np.ndarray, words: Sequence[str], info: DatasetInfo, path: str | os.PathLike[str], title: str
) -> None:
    rows = -(-len(images) // COLUMNS)
    figure = new_figure(900, 60 + 150 * rows)
    figure.suptitle(title, fontsize=14)
    for place, (image, text) in enumerate(zip(images, words, strict=True), start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.imshow(as_bytes(image, info.pixel_range), cmap="gray", vmin=0, vmax=255)
        axes.set_title(literal(text), fontsize=9)
        axes.set_axis_off()
    figure.savefig(path, format="png")
