import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from automl_keras.tuners.surrogates import NOISE_LEVELS, RidgeRegression, normal_scores, pair_features, upper_scores


def _problem(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A linear function of random features, with noise; not all features are independent."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, columns)) / np.sqrt(columns)
    features[:, -1] = features[:, 0]
    targets = features @ rng.standard_normal(columns) + 0.3 * rng.standard_normal(rows)
    return features, targets - targets.mean()


more_or_fewer_rows = pytest.mark.parametrize(("rows", "columns"), [(30, 40), (60, 20)])


def test_normal_scores_are_quantiles_of_the_ranks() -> None:
    values = np.array([5.0, -1e9, 7.0, 6.0])
    np.testing.assert_allclose(normal_scores(values), norm.ppf([0.375, 0.125, 0.875, 0.625]))


def test_normal_scores_of_equal_values_are_equal() -> None:
    np.testing.assert_allclose(normal_scores(np.array([3.0, 1.0, 3.0, 3.0])), norm.ppf([0.625, 0.125, 0.625, 0.625]))
    assert not normal_scores(np.full(3, 0.7)).any()


def test_upper_scores_are_clipped_below_the_mirrored_highest() -> None:
    values = np.array([-1000.0, 1.0, 4.0, 5.0, 6.0])
    clipped = np.array([2.0, 2.0, 4.0, 5.0, 6.0])  # the median is 4, the highest 2 above it
    np.testing.assert_allclose(upper_scores(values), (clipped - clipped.mean()) / clipped.std())
    assert not upper_scores(np.full(3, 0.7)).any()


def test_pair_features_of_a_row_by_hand() -> None:
    [row] = pair_features(np.array([[1, -1, 0]]), [2, 3, 1])
    one_hot = [0, 1, 0, 0, 1, 1]
    first_second, first_third, second_third = [0, 0, 0, 0, 0, 1], [0, 1], [0, 0, 1]
    np.testing.assert_allclose(row * np.sqrt(7), [1, *one_hot, *first_second, *first_third, *second_third])


def test_pair_features_count_what_agrees() -> None:
    options = np.random.default_rng(0).integers(-1, 3, size=(20, 5))
    features = pair_features(options, [4] * 5)
    agree = (options[:, None] == options[None]).sum(axis=2)
    np.testing.assert_allclose(features @ features.T, (1 + agree + agree * (agree - 1) / 2) / 16, atol=1e-12)


@more_or_fewer_rows
def test_weights_solve_the_normal_equations(rows: int, columns: int) -> None:
    features, targets = _problem(rows, columns)
    model = RidgeRegression(features, targets)
    expected = np.linalg.solve(features.T @ features + model.noise * np.eye(columns), features.T @ targets)
    np.testing.assert_allclose(model.weights(targets), expected, atol=1e-9)
    np.testing.assert_allclose(model.weights(np.stack([targets, -targets], axis=1))[:, 1], -expected, atol=1e-9)
    np.testing.assert_allclose(model.fitted(), features @ expected, atol=1e-9)


@more_or_fewer_rows
def test_penalty_and_variance_maximise_the_evidence(rows: int, columns: int) -> None:
    features, targets = _problem(rows, columns)
    model = RidgeRegression(features, targets)

    def log_evidence(noise: float, variance: float) -> float:
        covariance = variance * (features @ features.T + noise * np.eye(rows))
        return float(multivariate_normal(cov=covariance).logpdf(targets))

    at_best = log_evidence(model.noise, model.variance)
    for noise in NOISE_LEVELS:
        for factor in np.linspace(0.1, 3.0, 60):
            assert log_evidence(noise, factor * model.variance) <= at_best + 1e-9
    # Not by an end of the grid.
    assert NOISE_LEVELS[0] < model.noise < NOISE_LEVELS[-1]


@more_or_fewer_rows
def test_ensemble_is_drawn_from_the_posterior(rows: int, columns: int) -> None:
    features, targets = _problem(rows, columns)
    model = RidgeRegression(features, targets)
    drawn = model.ensemble(20_000, np.random.default_rng(0))
    precision = features.T @ features / model.noise + np.eye(columns)
    covariance = model.variance * np.linalg.inv(precision)
    error = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()) / 20_000)
    assert (np.abs(drawn.mean(axis=1) - model.weights(targets)) < 5 * np.sqrt(covariance.diagonal() / 20_000)).all()
    assert (np.abs(np.cov(drawn) - covariance) < 7 * error).all()


def test_equal_targets_give_a_flat_fit() -> None:
    features, targets = _problem(10, 20)
    model = RidgeRegression(features, np.zeros_like(targets))
    np.testing.assert_allclose(model.fitted(), 0.0)
    assert np.abs(model.ensemble(5, np.random.default_rng(0))).max() < 1e-4
