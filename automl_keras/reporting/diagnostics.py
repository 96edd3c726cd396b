"""How right a classifier is, class by class, and how much its probabilities can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_keras.errors import InvalidArgumentError

CALIBRATION_BINS = 15  # as in the paper


@dataclass(frozen=True)
class ClassScores:
    """How well one class is recognised.

    Attributes:
        precision: Share of right answers among those that name the class; NaN if none does.
        recall: Share of its images that are recognised; NaN if it has none.
        f1: Harmonic mean of both; NaN if the class has no image and no answer names it.
        support: Number of its images.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy, in bins of equal width (Guo et al., ICML 2017, section 2).

    Attributes:
        edges: Of the bins, from 0 to 1; a bin holds its upper edge and not its lower one.
        counts: Images in each bin.
        confidences: Mean confidence of each bin, equation 2; NaN if it is empty.
        accuracies: Share of right answers of each bin, equation 1; NaN if it is empty.
        error: The expected calibration error, equation 3.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    confidences: tuple[float, ...]
    accuracies: tuple[float, ...]
    error: float


def confusion_matrix(codes: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """How many images of each class (rows) are taken for each class (columns).

    Args:
        codes: The right classes, integers of shape `(n,)`.
        predicted: The answers, likewise.
        num_classes: Number of classes.

    Raises:
        InvalidArgumentError: If there are no images, their numbers differ or a class is out of range.
    """
    if len(codes) == 0 or len(codes) != len(predicted):
        raise InvalidArgumentError(
            "`codes` and `predicted` must be of one length, at least 1. "
            f"Received: lengths={(len(codes), len(predicted))}"
        )
    pairs = np.stack([codes, predicted]).astype(np.int64)
    if pairs.min() < 0 or pairs.max() >= num_classes:
        raise InvalidArgumentError(
            f"Classes must be in 0..{num_classes - 1}. Received: from {pairs.min()} to {pairs.max()}"
        )
    flat = np.bincount(pairs[0] * num_classes + pairs[1], minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def class_scores(confusion: np.ndarray) -> list[ClassScores]:
    """Precision, recall, F1 and support of each class.

    Args:
        confusion: As `confusion_matrix` gives it.
    """
    return _scores(np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0))


def label_scores(wanted: np.ndarray, answered: np.ndarray) -> list[ClassScores]:
    """Precision, recall, F1 and support of each label by itself, where images may have several.

    Args:
        wanted: Which labels images have, bools of shape `(n, labels)`.
        answered: Which labels they are given, likewise.
    """
    return _scores((wanted & answered).sum(axis=0), wanted.sum(axis=0), answered.sum(axis=0))


def _scores(hits: np.ndarray, support: np.ndarray, answers: np.ndarray) -> list[ClassScores]:
    def share(part: float, whole: float) -> float:
        return float(part / whole) if whole else float("nan")

    return [
        ClassScores(share(hit, named), share(hit, there), share(2 * hit, named + there), int(there))
        for hit, there, named in zip(hits.tolist(), support.tolist(), answers.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class ValueErrors:
    """How far answers are from one value of each image, in its units.

    Attributes:
        r2_score: 1 minus the mean squared error in units of the variance; NaN if the value never changes.
        mean_absolute: Mean absolute error.
        root_mean_square: Root of the mean squared error.
        mean: Mean of the answers less that of the true values.
    """

    r2_score: float
    mean_absolute: float
    root_mean_square: float
    mean: float


def value_errors(true: np.ndarray, answers: np.ndarray) -> list[ValueErrors]:
    """The errors of each value.

    Args:
        true: `(n, values)`.
        answers: `(n, values)`.
    """
    errors = answers.astype(np.float64) - true
    squared, variance = np.square(errors).mean(axis=0), true.var(axis=0)
    scores = 1.0 - np.divide(squared, variance, out=np.full(len(squared), np.nan), where=variance > 0)
    columns = scores, np.abs(errors).mean(axis=0), np.sqrt(squared), errors.mean(axis=0)
    return [ValueErrors(*map(float, each)) for each in zip(*columns, strict=True)]


def calibration(codes: np.ndarray, probabilities: np.ndarray, *, num_bins: int = CALIBRATION_BINS) -> Calibration:
    """Whether answers given with a confidence of p are right in a share p of the cases.

    The confidence is the largest probability. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        codes: The right classes, integers of shape `(n,)`.
        probabilities: `(n, classes)`.
        num_bins: How many bins of equal width there are in (0, 1].

    Raises:
        InvalidArgumentError: If there are no images, or `num_bins` is below 1.
    """
    if num_bins < 1 or len(codes) == 0:
        raise InvalidArgumentError(
            f"There must be at least one bin and one image. Received: num_bins={num_bins}, {len(codes)} images"
        )
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == codes
    edges = np.arange(num_bins + 1) / num_bins
    # B_m holds the confidences in ((m - 1) / M, m / M], section 2.
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(index, minlength=num_bins)
    sums = (np.bincount(index, weights=values, minlength=num_bins) for values in (confidence, right))
    mean_confidence, accuracy = (np.divide(s, counts, out=np.full(num_bins, np.nan), where=counts > 0) for s in sums)
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    return Calibration(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        confidences=tuple(mean_confidence.tolist()),
        accuracies=tuple(accuracy.tolist()),
        error=float((counts / len(codes) * gaps).sum()),
    )


def worst_mistakes(codes: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """The places of the wrong answers given with the greatest probability, the worst first.

    Args:
        codes: The right classes, integers of shape `(n,)`.
        probabilities: `(n, classes)`.
        count: How many at most.
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != codes)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order[:count]]


def sample_places(codes: np.ndarray, count: int) -> np.ndarray:
    """Places of images to show: the first of each class, then the second of each, and so on, ordered by class.

    Args:
        codes: Their classes, integers of shape `(n,)`.
        count: How many at most.
    """
    order = np.argsort(codes, kind="stable")
    first = np.searchsorted(codes[order], codes[order])
    rank = np.arange(len(codes)) - first  # of an image within its class
    chosen = np.sort(np.lexsort((codes[order], rank))[:count])
    return order[chosen]
