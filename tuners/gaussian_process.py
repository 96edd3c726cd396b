"""A Gaussian process over architectures, with a kernel that learns how alike options are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

# Priors of logarithms: the means of noise, `w` and `v`; the latter two are divided by the number of decisions.
NOISE, WEIGHT, SUM_WEIGHT = 0.03, 4.0, 1.4
NOISE_DEVIATION, WEIGHT_DEVIATION = 1.5, 1.0
NOISE_RANGE = (1e-3, 3.0)
SHARE_DEVIATION = 2.0
EMBEDDING_DEVIATION = 0.3
# The variance of the process is worth so many observations of variance 1 before any is seen.
VARIANCE_STRENGTH = 4.0
MAX_ITERATIONS = 40


class ArchitectureKernel:
    """The correlation of two architectures: a mixture of two squared-exponential kernels.

    One compares decision by decision, `exp(-sum_i w_i |e(a_i) - e(b_i)|^2)`. The other only asks what was chosen,
    not where, `exp(-sum_g v_g |sum_(i in g) e(a_i) - e(b_i)|^2)` with `g` the groups of decisions that have the same
    options. The decisions of a group share the embedding `e` of the options, in which an inactive decision is
    the origin. If all options begin at equal distances, the first kernel is at first that of the Hamming distance.

    All is learnt, as one vector: the logarithm of the noise, the logit of the first kernel's share, the
    logarithms of `w` and `v`, and the embeddings.

    Args:
        groups: For each decision the number of its group.
        embeddings: For each group where its options lie at first, of shape `(options, dimensions)`; random
            ones should be about 1 apart.

    Attributes:
        prior_mean: The most probable parameters before any observation.
        prior_deviation: Their standard deviations.
    """

    def __init__(self, groups: Sequence[int], embeddings: Sequence[np.ndarray]) -> None:
        self._groups = tuple(groups)
        self._shapes = [embedding.shape for embedding in embeddings]
        self._sum_starts = np.cumsum([0, *(shape[1] for shape in self._shapes)])
        num_decisions, num_groups = len(self._groups), len(embeddings)
        start = np.concatenate([embedding.ravel() for embedding in embeddings])
        # Divided, so that random architectures are about equally far apart in every space.
        weights = np.repeat([WEIGHT, SUM_WEIGHT], [num_decisions, num_groups]) / num_decisions
        self._embedding_starts = 2 + len(weights) + np.cumsum([0, *(embedding.size for embedding in embeddings)])
        self.prior_mean = np.concatenate([[np.log(NOISE), 0.0], np.log(weights), start])
        self.prior_deviation = np.repeat(
            [NOISE_DEVIATION, SHARE_DEVIATION, WEIGHT_DEVIATION, EMBEDDING_DEVIATION], [1, 1, len(weights), len(start)]
        )

    def embed(self, parameters: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Architectures as points: of each of the two spaces in which a kernel is `exp(-|x - y|^2)`.

        Args:
            parameters: The parameters.
            codes: Option indices of shape `(n, decisions)`, -1 where a decision is inactive.
        """
        points, sums = [], np.zeros((len(codes), self._sum_starts[-1]))
        for index, group, _, columns in self._blocks():
            options = _with_origin(self._embedding(parameters, group))[codes[:, index]]
            points.append(np.exp(0.5 * parameters[2 + index]) * options)
            sums[:, columns] += np.exp(0.5 * parameters[2 + len(self._groups) + group]) * options
        return np.concatenate(points, axis=1), sums

    def gradient(
        self, parameters: np.ndarray, codes: np.ndarray, by_points: np.ndarray, by_sums: np.ndarray
    ) -> np.ndarray:
        """The gradient by the parameters from the gradients by what `embed` gives; zero for noise and share."""
        gradient = np.zeros_like(parameters)
        for index, group, point_columns, sum_columns in self._blocks():
            weight, sum_weight = 2 + index, 2 + len(self._groups) + group
            embedding = _with_origin(self._embedding(parameters, group))
            by_point = np.exp(0.5 * parameters[weight]) * by_points[:, point_columns]
            by_sum = np.exp(0.5 * parameters[sum_weight]) * by_sums[:, sum_columns]
            options = embedding[codes[:, index]]
            gradient[weight] = 0.5 * np.sum(by_point * options)
            gradient[sum_weight] += 0.5 * np.sum(by_sum * options)
            by_embedding = np.zeros_like(embedding)
            np.add.at(by_embedding, codes[:, index], by_point + by_sum)
            self._embedding(gradient, group)[...] += by_embedding[:-1]
        return gradient

    def _blocks(self) -> Iterator[tuple[int, int, slice, slice]]:
        """Of each decision: its index and group, and its columns in either of what `embed` gives."""
        start = 0
        for index, group in enumerate(self._groups):
            end = start + self._shapes[group][1]
            yield index, group, slice(start, end), slice(self._sum_starts[group], self._sum_starts[group + 1])
            start = end

    def _embedding(self, parameters: np.ndarray, group: int) -> np.ndarray:
        """A view, one row for each option."""
        start, end = self._embedding_starts[group : group + 2]
        return parameters[start:end].reshape(self._shapes[group])


class GaussianProcess:
    """The posterior given observations with noise; mean and variance of the process are at their best values.

    Args:
        kernel: How alike architectures are.
        parameters: The kernel's, such as `fit_parameters` finds.
        codes: Option indices of the observed architectures, of shape `(n, decisions)`, -1 where inactive.
        targets: What was observed, of shape `(n,)`, with a variance of about 1.
    """

    def __init__(
        self, kernel: ArchitectureKernel, parameters: np.ndarray, codes: np.ndarray, targets: np.ndarray
    ) -> None:
        self._kernel, self._parameters = kernel, parameters
        self._points = kernel.embed(parameters, codes)
        correlation = self._correlation(self._points) + np.exp(parameters[0]) * np.eye(len(codes))
        self._factor = cholesky(correlation, lower=True)
        self._mean, self._weights, self._variance = _profile(self._factor, targets)

    def predict(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the process, without the noise, at architectures."""
        correlation = self._correlation(self._kernel.embed(self._parameters, codes))
        explained = solve_triangular(self._factor, correlation.T, lower=True)
        left = np.maximum(1.0 - np.sum(explained**2, axis=0), 1e-10)
        return self._mean + correlation @ self._weights, np.sqrt(self._variance * left)

    def _correlation(self, points: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        by_decision, by_sum = (_squared_exponential(x, y) for x, y in zip(points, self._points, strict=True))
        share = expit(self._parameters[1])
        return share * by_decision + (1.0 - share) * by_sum


def fit_parameters(kernel: ArchitectureKernel, codes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The most probable parameters of a kernel, by up to 40 steps of L-BFGS from the prior's mean.

    Args:
        kernel: What to fit.
        codes: Option indices of the observed architectures, of shape `(n, decisions)`, -1 where inactive.
        targets: What was observed, of shape `(n,)`, with a variance of about 1.
    """
    lower, upper = (kernel.prior_mean + sign * 4.0 * kernel.prior_deviation for sign in (-1.0, 1.0))
    lower[0], upper[0] = np.log(NOISE_RANGE)
    result = minimize(
        negative_log_posterior,
        kernel.prior_mean,
        args=(kernel, codes, targets),
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([lower, upper], axis=1),
        options={"maxiter": MAX_ITERATIONS},
    )
    return np.asarray(result.x)


def negative_log_posterior(
    parameters: np.ndarray, kernel: ArchitectureKernel, codes: np.ndarray, targets: np.ndarray
) -> tuple[float, np.ndarray]:
    """What `fit_parameters` minimises, up to a constant, and its gradient.

    Rasmussen and Williams, Gaussian Processes for Machine Learning, equations 5.8 and 5.9, with mean and variance of
    the process at their best values.
    """
    num_targets = len(targets)
    noise, share = np.exp(parameters[0]), expit(parameters[1])
    points, sums = kernel.embed(parameters, codes)
    by_decision, by_sum = _squared_exponential(points, points), _squared_exponential(sums, sums)
    factor = cholesky(share * by_decision + (1.0 - share) * by_sum + noise * np.eye(num_targets), lower=True)
    _, weights, variance = _profile(factor, targets)
    deviation = (parameters - kernel.prior_mean) / kernel.prior_deviation
    value = 0.5 * (num_targets + VARIANCE_STRENGTH) * np.log(variance) + np.sum(np.log(np.diag(factor)))
    value += 0.5 * deviation @ deviation

    inverse = cho_solve((factor, True), np.eye(num_targets))
    by_correlation = 0.5 * (inverse - np.outer(weights, weights) / variance)
    gradient = kernel.gradient(
        parameters,
        codes,
        _by_points(points, share * by_correlation * by_decision),
        _by_points(sums, (1.0 - share) * by_correlation * by_sum),
    )
    gradient[0] = noise * np.trace(by_correlation)
    gradient[1] = share * (1.0 - share) * np.sum(by_correlation * (by_decision - by_sum))
    return float(value), gradient + deviation / kernel.prior_deviation


def _profile(factor: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Mean of the process, the inverse correlation times the residuals, and the variance."""
    whitened = solve_triangular(factor, np.stack([np.ones_like(targets), targets], axis=1), lower=True)
    mean = whitened[:, 0] @ whitened[:, 1] / (whitened[:, 0] @ whitened[:, 0])
    residuals = whitened[:, 1] - mean * whitened[:, 0]
    variance = (residuals @ residuals + VARIANCE_STRENGTH) / (len(targets) + VARIANCE_STRENGTH)
    return float(mean), solve_triangular(factor, residuals, lower=True, trans=1), float(variance)


def _squared_exponential(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    distances = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1) - 2.0 * x @ y.T
    return np.exp(-np.maximum(distances, 0.0))


def _by_points(x: np.ndarray, by_logarithm: np.ndarray) -> np.ndarray:
    """The gradient by points from the symmetric one by the logarithm of their squared-exponential kernel."""
    return -4.0 * (by_logarithm.sum(axis=1)[:, None] * x - by_logarithm @ x)


def _with_origin(embedding: np.ndarray) -> np.ndarray:
    """With a last row of zeros, which the index -1 means."""
    return np.concatenate([embedding, np.zeros((1, embedding.shape[1]))])
