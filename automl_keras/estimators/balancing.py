"""How much rare classes count in the loss, chosen by a short training with each of a few powers of their rarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import keras
import numpy as np

from automl_keras.data import Dataset, PreparedData
from automl_keras.estimators.mirroring import validation_score
from automl_keras.estimators.plan import Probe

CHOICE = "class_weight"
POWERS = (0.0, 0.5, 1.0)


def class_weights(codes: np.ndarray, num_classes: int, power: float) -> np.ndarray:
    """(n / (k n_c))^power for each of k classes, of n images; float32 of shape (classes,).

    Power 1 makes all classes count the same in the loss, power 0.5 is halfway between that and counting images: what
    class-balanced and square-root sampling do (Kang et al., "Decoupling Representation and Classifier for Long-Tailed
    Recognition", ICLR 2020, section 4.1, arXiv:1910.09217), with weights in place of samples. A class without images
    counts 1.

    Args:
        codes: (n,) class indices.
        num_classes: k.
        power: Of the rarity.
    """
    counts = np.bincount(codes, minlength=num_classes)
    rarity = np.where(counts > 0, len(codes) / (num_classes * np.maximum(counts, 1)), 1.0)
    return (rarity**power).astype(np.float32)


def balanced(data: Dataset) -> Dataset:
    """The same examples with weights by which all classes count the same: a weighted accuracy is the balanced one.

    Balanced accuracy is the mean over the classes of the share of their images that are named rightly. Where images
    have weights, that is a weighted share.
    """
    weights = np.ones(data.num_examples) if data.sample_weight is None else data.sample_weight.astype(np.float64)
    of_class = np.bincount(data.codes, weights)
    shares = weights / np.where(of_class > 0, of_class, 1.0)[data.codes]
    return replace(data, sample_weight=(shares / shares.mean()).astype(np.float32))


def probe_balance(
    first: keras.Model, train: Callable[[PreparedData], keras.Model], data: PreparedData, sample: Dataset
) -> Probe:
    """Train with each power and compare balanced accuracies on validation images; of equals the smallest power wins.

    Args:
        first: A small network, trained without weights of classes: power 0.
        train: Trains one like it on data with weights of classes.
        data: All there is.
        sample: Validation images.
    """
    judge = balanced(sample)
    scores = {0.0: validation_score(first, judge)}
    scores |= {power: validation_score(train(with_balance(data, power)), judge) for power in POWERS if power}
    chosen = max(POWERS, key=lambda power: scores[power])
    return Probe(CHOICE, {str(power): score for power, score in scores.items()}, chosen)


def with_balance(data: PreparedData, power: float) -> PreparedData:
    """The data with weights of classes by a power of their rarity among the training images."""
    return replace(data, class_weight=class_weights(data.train.codes, data.info.num_classes, power))


def balance_of(probes: Sequence[Probe]) -> float:
    """The power that was chosen; 0 if there was no network to ask."""
    return next((float(probe.chosen) for probe in probes if probe.choice == CHOICE), 0.0)
