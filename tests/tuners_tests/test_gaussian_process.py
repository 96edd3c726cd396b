import numpy as np
import pytest
from scipy.linalg import helmert
from scipy.optimize import approx_fprime
from scipy.special import expit
from scipy.stats import multivariate_normal

from automl_keras.tuners.gaussian_process import (
    VARIANCE_STRENGTH,
    ArchitectureKernel,
    GaussianProcess,
    fit_parameters,
    negative_log_posterior,
)

GROUPS, SIZES = (0, 0, 1, 0, 1), (3, 4)


def _kernel() -> ArchitectureKernel:
    line = np.linspace(-1.0, 1.0, 4)[:, None]
    return ArchitectureKernel(GROUPS, [helmert(3).T / np.sqrt(2.0), line])


def _codes(num: int, seed: int, lowest: int = -1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(lowest, SIZES[group], size=num) for group in GROUPS], axis=1)


def _parameters(kernel: ArchitectureKernel) -> np.ndarray:
    return kernel.prior_mean + 0.3 * np.random.default_rng(7).standard_normal(len(kernel.prior_mean))


def _correlation(kernel: ArchitectureKernel, parameters: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """By the definition, one pair after the other."""
    weights, sum_weights = np.exp(parameters[2:7]), np.exp(parameters[7:9])
    nominal, line = parameters[9:15].reshape(3, 2), parameters[15:].reshape(4, 1)
    embeddings = [np.concatenate([embedding, np.zeros_like(embedding[:1])]) for embedding in (nominal, line)]
    share, result = expit(parameters[1]), np.empty((len(codes), len(codes)))
    for row, a in enumerate(codes):
        for column, b in enumerate(codes):
            differences = [embeddings[g][i] - embeddings[g][j] for g, i, j in zip(GROUPS, a, b, strict=True)]
            first = sum(w * d @ d for w, d in zip(weights, differences, strict=True))
            sums = [sum(d for d, g in zip(differences, GROUPS, strict=True) if g == group) for group in (0, 1)]
            second = sum(v * np.sum(s**2) for v, s in zip(sum_weights, sums, strict=True))
            result[row, column] = share * np.exp(-first) + (1.0 - share) * np.exp(-second)
    return result


def test_correlation_is_that_of_the_definition() -> None:
    kernel, codes = _kernel(), _codes(12, seed=0)
    parameters = _parameters(kernel)
    (points, sums), share = kernel.embed(parameters, codes), expit(parameters[1])
    first, second = (np.exp(-np.sum((x[:, None] - x) ** 2, axis=2)) for x in (points, sums))
    np.testing.assert_allclose(
        share * first + (1.0 - share) * second, _correlation(kernel, parameters, codes), rtol=1e-9
    )


def test_prior_is_the_hamming_kernel_and_knows_no_order() -> None:
    kernel = ArchitectureKernel([0, 0, 0, 0], [helmert(5).T / np.sqrt(2.0)])
    codes = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [4, 4, 4, 4], [3, 2, 1, 0]])
    points, sums = kernel.embed(kernel.prior_mean, codes)
    # Each decision weighs 4 / 4.
    np.testing.assert_allclose(np.sum((points - points[0]) ** 2, axis=1), [0, 1, 4, 4], atol=1e-12)
    np.testing.assert_allclose(sums[3], sums[0], atol=1e-12)
    assert np.sum((sums[1] - sums[0]) ** 2) > 0.1


def test_gradient_equals_finite_differences() -> None:
    kernel, codes = _kernel(), _codes(20, seed=1)
    targets = np.random.default_rng(2).standard_normal(20)
    parameters = _parameters(kernel)
    _, gradient = negative_log_posterior(parameters, kernel, codes, targets)
    numeric = approx_fprime(parameters, lambda p: negative_log_posterior(p, kernel, codes, targets)[0], 1e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)


def test_best_mean_and_variance_are_profiled_out() -> None:
    """Equal to the density of the observations, apart from the priors, where both are at their best values."""
    kernel, codes = _kernel(), _codes(15, seed=3)
    targets = 5.0 + np.random.default_rng(4).standard_normal(15)
    values, densities = [], []
    for parameters in (kernel.prior_mean, _parameters(kernel)):
        correlation = _correlation(kernel, parameters, codes) + np.exp(parameters[0]) * np.eye(15)
        inverse = np.linalg.inv(correlation)
        mean = np.sum(inverse @ targets) / np.sum(inverse)
        residuals = targets - mean
        variance = (residuals @ inverse @ residuals + VARIANCE_STRENGTH) / (15 + VARIANCE_STRENGTH)
        density = multivariate_normal(np.full(15, mean), variance * correlation).logpdf(targets)
        of_variance = -0.5 * VARIANCE_STRENGTH * (np.log(variance) + 1.0 / variance)
        distance = np.sum(((parameters - kernel.prior_mean) / kernel.prior_deviation) ** 2)
        densities.append(density + of_variance - 0.5 * distance)
        values.append(negative_log_posterior(parameters, kernel, codes, targets)[0])
    assert values[0] - values[1] == pytest.approx(densities[1] - densities[0], rel=1e-9)


def test_posterior_equals_the_textbook() -> None:
    kernel, codes, others = _kernel(), _codes(15, seed=5), _codes(6, seed=6)
    targets = np.random.default_rng(7).standard_normal(15)
    parameters = _parameters(kernel)
    joint = _correlation(kernel, parameters, np.concatenate([codes, others]))
    inverse = np.linalg.inv(joint[:15, :15] + np.exp(parameters[0]) * np.eye(15))
    mean = np.sum(inverse @ targets) / np.sum(inverse)
    residuals = targets - mean
    variance = (residuals @ inverse @ residuals + VARIANCE_STRENGTH) / (15 + VARIANCE_STRENGTH)
    cross = joint[15:, :15]
    found_mean, found_deviation = GaussianProcess(kernel, parameters, codes, targets).predict(others)
    np.testing.assert_allclose(found_mean, mean + cross @ inverse @ residuals, rtol=1e-8)
    expected = np.sqrt(variance * (1.0 - np.sum(cross @ inverse * cross, axis=1)))
    np.testing.assert_allclose(found_deviation, expected, rtol=1e-8)


def test_fit_finds_what_matters() -> None:
    """The first decision decides, and its options 1 and 2 do the same."""
    kernel = ArchitectureKernel([0, 1, 1, 1], [helmert(3).T / np.sqrt(2.0)] * 2)
    codes = np.random.default_rng(0).integers(3, size=(60, 4))
    targets = np.where(codes[:, 0] == 0, 1.0, -1.0) + 0.1 * np.random.default_rng(1).standard_normal(60)
    parameters = fit_parameters(kernel, codes, targets)
    value, gradient = negative_log_posterior(parameters, kernel, codes, targets)
    assert value < negative_log_posterior(kernel.prior_mean, kernel, codes, targets)[0] - 10.0
    assert np.abs(gradient).max() < 0.5

    points, _ = kernel.embed(parameters, np.array([[0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0], [1, 2, 1, 2]]))
    worse, alike, irrelevant = np.sum((points[[0, 2, 3]] - points[1]) ** 2, axis=1)
    assert worse > 1.5 * alike
    assert worse > 10.0 * irrelevant
    mean, _ = GaussianProcess(kernel, parameters, codes, targets).predict(np.array([[0, 1, 2, 0], [2, 0, 0, 1]]))
    np.testing.assert_allclose(mean, [1.0, -1.0], atol=0.2)


def test_equal_targets() -> None:
    kernel, codes = _kernel(), _codes(10, seed=0)
    parameters = fit_parameters(kernel, codes, np.zeros(10))
    mean, deviation = GaussianProcess(kernel, parameters, codes, np.zeros(10)).predict(_codes(5, seed=1))
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)
    assert np.all(deviation > 0.0)
