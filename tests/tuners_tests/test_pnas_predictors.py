import numpy as np
import pytest
from scipy.stats import spearmanr

from automl_keras.search_space import SearchSpace
from automl_keras.search_space.cell import cell_space
from automl_keras.testing import conditional_space, flat_space, toy_score
from automl_keras.tuners.pnas_predictors import NUM_MEMBERS, PREDICTORS

both = pytest.mark.parametrize("name", ["mlp", "lstm"])


def drawn(space: SearchSpace, number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    architectures = [space.sample(rng) for _ in range(number)]
    return np.array([space.encode(a) for a in architectures]), np.array([toy_score(a) for a in architectures])


@both
@pytest.mark.parametrize("space", [conditional_space(), cell_space(3)], ids=["conditional", "cell"])
def test_gradient_is_that_of_finite_differences(name: str, space: SearchSpace) -> None:
    ensemble = PREDICTORS[name](space, 3, 4)
    rng = np.random.default_rng(0)
    rows, targets = drawn(space, 12)
    ensemble.fit(rows, targets, rng)
    start = rng.uniform(-0.7, 0.7, ensemble.parameters.shape)
    weights = rng.random((NUM_MEMBERS, len(rows)))
    ensemble.parameters = start
    gradient = ensemble.gradient(ensemble.read(rows), targets, weights)

    def loss() -> np.ndarray:
        return (weights * np.abs(ensemble.predict(rows) - targets)).sum(axis=1)

    assert gradient.dtype == np.float64
    for index in range(start.shape[1]):
        step = np.zeros_like(start)
        step[:, index] = 1e-6
        ensemble.parameters = start + step
        above = loss()
        ensemble.parameters = start - step
        np.testing.assert_allclose(gradient[:, index], (above - loss()) / 2e-6, rtol=1e-4, atol=1e-7)
    assert (np.abs(gradient) > 1e-9).mean() > 0.5


@both
def test_each_member_leaves_out_a_fifth(name: str) -> None:
    rows, targets = drawn(flat_space(), 20)

    def members(scores: np.ndarray) -> np.ndarray:
        return PREDICTORS[name](flat_space(), 4, 4).fit(rows, scores, np.random.default_rng(0)).parameters

    left_out = np.zeros(NUM_MEMBERS)
    for index in range(len(targets)):
        low, high = targets.copy(), targets.copy()
        low[index], high[index] = -10.0, 10.0  # on either side of any prediction: the loss only knows the sign
        unmoved = (members(low) == members(high)).all(axis=1)
        assert unmoved.sum() == 1
        left_out += unmoved
    assert left_out.tolist() == [4.0] * NUM_MEMBERS


@both
@pytest.mark.parametrize("space", [flat_space(), cell_space(2)], ids=["flat", "cell"])
def test_ranks_what_it_has_not_seen(name: str, space: SearchSpace) -> None:
    ensemble = PREDICTORS[name](space, 16)
    ensemble.fit(*drawn(space, 200), np.random.default_rng(0))
    rows, scores = drawn(space, 300, seed=1)
    predicted = ensemble.predict(rows)
    assert predicted.shape == (NUM_MEMBERS, 300)
    assert 0.0 < predicted.min() < predicted.max() < 1.0
    assert spearmanr(predicted.mean(axis=0), scores)[0] > (0.75 if space == flat_space() else 0.5)


@both
def test_what_is_known_of_an_operation_holds_in_a_new_block(name: str) -> None:
    space = cell_space(2, ("bad", "good"))
    rng = np.random.default_rng(0)
    cells = {space.canonical({**space.sample(rng), "num_blocks": 1}) for _ in range(200)}
    rows = np.array([space.encode(cell) for cell in cells])
    share = np.array([sum(value == "good" for value in cell.values()) / 2 for cell in cells])
    ensemble = PREDICTORS[name](space, 16).fit(rows, 0.1 + 0.8 * share, np.random.default_rng(0))
    better, worse = (
        space.encode(space.canonical({"num_blocks": 2, "block1_operation1": value, "block1_operation2": value}))
        for value in ("good", "bad")
    )
    higher, lower = ensemble.predict(np.array([better, worse])).mean(axis=0)
    assert higher > lower + 0.05


@both
def test_fit_starts_anew_and_leaves_its_data_alone(name: str) -> None:
    ensemble = PREDICTORS[name](conditional_space(), 4, 4)
    rows, targets = drawn(conditional_space(), 40)
    first = ensemble.fit(rows, targets, np.random.default_rng(3)).parameters
    ensemble.fit(rows[:1], targets[:1], np.random.default_rng(4))
    assert np.isfinite(ensemble.predict(rows)).all()
    np.testing.assert_array_equal(ensemble.fit(rows, targets, np.random.default_rng(3)).parameters, first)
    again = drawn(conditional_space(), 40)
    np.testing.assert_array_equal(rows, again[0])
    np.testing.assert_array_equal(targets, again[1])


@both
def test_predictions_do_not_depend_on_what_else_is_asked(name: str) -> None:
    ensemble = PREDICTORS[name](flat_space(), 4, 4)
    ensemble.fit(*drawn(flat_space(), 10), np.random.default_rng(0))
    rows = drawn(flat_space(), 5_000)[0]
    np.testing.assert_allclose(ensemble.predict(rows)[:, 4_990:], ensemble.predict(rows[4_990:]), rtol=1e-5)


def test_unlike_decisions_share_nothing() -> None:
    ensemble = PREDICTORS["mlp"](conditional_space(), 4)
    assert len(ensemble.kinds) == len(conditional_space().decisions)
    assert sorted(ensemble.shared) == list(range(ensemble.offsets[-1]))
    alike = PREDICTORS["mlp"](flat_space(), 4)
    assert alike.shared.tolist() == [0, 1, 2] * 8
