"""Regressions from option indices to scores, which cost milliseconds to fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

# Noise variances to choose from, as parts of the prior variance of a score.
NOISE_LEVELS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
RANK_TOLERANCE = 1e-9
SMALLEST_VARIANCE = 1e-12


def normal_scores(values: np.ndarray) -> np.ndarray:
    """The quantiles of a standard normal distribution that belong to the ranks; equal values share theirs.

    They keep the order alone: a few networks that do not train at all would otherwise decide the fit.
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle_ranks = np.cumsum(counts) - 0.5 * counts
    return ndtri(middle_ranks / len(values))[inverse]


def upper_scores(values: np.ndarray) -> np.ndarray:
    """Standardised values, of which none lies further below the median than the highest lies above it.

    Unlike `normal_scores` they keep how far the good ones are apart.
    """
    below_highest = values - values.max()  # exactly 0 where all are equal
    clipped = np.maximum(below_highest, 2.0 * np.median(below_highest))
    centred = clipped - clipped.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 0 else centred


def pair_features(options: np.ndarray, num_options: Sequence[int]) -> np.ndarray:
    """One-hot options, all products of two of different decisions, and a constant.

    Args:
        options: Option indices of shape `(n, len(num_options))`. Inactive decisions (-1) count
            as having an option of their own, the last.
        num_options: How many options each decision has, inactivity included.

    Returns:
        Float64 of shape `(n, features)`, scaled so that each row has length 1.
    """
    indices = np.where(options < 0, np.array(num_options, dtype=np.int64) - 1, options)
    one_hot = [np.eye(size)[column] for size, column in zip(num_options, indices.T, strict=True)]
    products = [
        (first[:, :, None] * second[:, None, :]).reshape(len(options), -1)
        for position, second in enumerate(one_hot)
        for first in one_hot[:position]
    ]
    columns = np.concatenate([np.ones((len(options), 1)), *one_hot, *products], axis=1)
    return columns / np.sqrt(1 + len(one_hot) + len(products))


class RidgeRegression:
    """Ridge regression whose penalty maximises the evidence.

    It is the posterior of a linear model with independent normal weights and normal noise (Bishop,
    Pattern Recognition and Machine Learning, 3.3 and 3.5). The ratio of noise to prior variance is
    one of `NOISE_LEVELS`, the prior variance has its closed form.

    Args:
        features: Of shape `(n, features)`.
        targets: Of shape `(n,)`, with a mean of about 0.

    Attributes:
        noise: The ratio of noise to prior variance, that is the penalty.
        variance: The prior variance of the weights.
    """

    def __init__(self, features: np.ndarray, targets: np.ndarray) -> None:
        self._features, self._targets = features, targets
        # The smaller of the two Gram matrices gives the left singular vectors of the features.
        if len(features) <= features.shape[1]:
            eigenvalues, left = np.linalg.eigh(features @ features.T)
            used = eigenvalues > RANK_TOLERANCE * eigenvalues[-1]
            self._left = left[:, used]
        else:
            eigenvalues, right = np.linalg.eigh(features.T @ features)
            used = eigenvalues > RANK_TOLERANCE * eigenvalues[-1]
            self._left = features @ right[:, used] / np.sqrt(eigenvalues[used])
        self._eigenvalues = eigenvalues[used]
        fits = [(*self._evidence(noise), noise) for noise in NOISE_LEVELS]
        _, self.variance, self.noise = max(fits)

    def _evidence(self, noise: float) -> tuple[float, float]:
        """The logarithm of the evidence, but for a constant, and the prior variance that maximises it."""
        n, rank = self._left.shape
        projected = np.square(self._left.T @ self._targets)
        variances = self._eigenvalues + noise
        outside = max(float(self._targets @ self._targets - projected.sum()), 0.0)
        variance = max(float((projected / variances).sum() + outside / noise) / n, SMALLEST_VARIANCE)
        log_determinant = float(np.log(variances).sum()) + (n - rank) * np.log(noise)
        return -0.5 * (n * np.log(variance) + log_determinant), variance

    def weights(self, targets: np.ndarray) -> np.ndarray:
        """The weights for other targets, of shape `(n,)` or `(n, fits)`, at the same penalty."""
        shrunk = (self._left.T @ targets).T / (self._eigenvalues + self.noise)
        return self._features.T @ (self._left @ shrunk.T)

    def fitted(self) -> np.ndarray:
        """The predictions for the features it was fitted on."""
        return self._features @ self.weights(self._targets)

    def ensemble(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """The weights of fits that differ where the targets do not decide, of shape `(features, size)`.

        Each is the sum of weights drawn from the prior and of a fit to what these leave of the targets
        with noise added: an ensemble with randomised prior functions (Osband et al., NeurIPS 2018), which
        for a linear model are draws from the posterior.
        """
        n, num_features = self._features.shape
        deviation = np.sqrt(self.variance)
        prior = deviation * rng.standard_normal((num_features, size))
        noise = deviation * np.sqrt(self.noise) * rng.standard_normal((n, size))
        return prior + self.weights(self._targets[:, None] + noise - self._features @ prior)
