import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, conditional_space, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners.mdenas import MDENASOracle, MDENASStrategy, MultinomialDistribution
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Strategy


class TestMDENASStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., MDENASStrategy]:
        return MDENASStrategy


def _one(*options: str) -> SearchSpace:
    return SearchSpace([Decision("operation", options)])


def _updated(distribution: MultinomialDistribution, *history: tuple[str, float]) -> list[float]:
    for option, score in history:
        distribution.update(Architecture({"operation": option}), score)
    probabilities: list[float] = distribution.probabilities["operation"].tolist()
    return probabilities


@pytest.mark.parametrize("space", [flat_space(4, 5), conditional_space()], ids=["flat", "conditional"])
@pytest.mark.parametrize("learning_rate", [0.01, 0.3, 1.0])
def test_probabilities_stay_on_the_simplex(space: SearchSpace, learning_rate: float) -> None:
    distribution = MultinomialDistribution(space, learning_rate)
    rng = np.random.default_rng(0)
    for _ in range(300):
        distribution.update(space.sample(rng), rng.normal())
        for probabilities in distribution.probabilities.values():
            assert probabilities.min() >= 0.0
            assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)


def test_direction_by_hand() -> None:
    distribution = MultinomialDistribution(_one("a", "b", "c"), 0.1, score_rate=1.0)
    third = 1 / 3
    # The others were never tried: nothing to compare.
    assert _updated(distribution, ("a", 0.5)) == pytest.approx([third] * 3)
    # b is better, tried as often.
    assert _updated(distribution, ("b", 0.7)) == pytest.approx([third - 0.1, third + 0.1, third])
    # b is better and tried more often: nothing to learn.
    assert _updated(distribution, ("b", 0.8)) == pytest.approx([third - 0.1, third + 0.1, third])
    # c is worse than both; tried no more often than a, and less often than b, which may be why.
    assert _updated(distribution, ("c", 0.4)) == pytest.approx([third, third + 0.1, third - 0.1])
    # a is the best now, tried as often as b and more often than c.
    assert _updated(distribution, ("a", 0.9)) == pytest.approx([third + 0.1, third, third - 0.1])
    # Tried most often and worst: a loses to both.
    assert _updated(distribution, ("a", 0.1)) == pytest.approx([third - 0.1, third + 0.1, third])
    assert distribution.counts["operation"].tolist() == [3, 2, 1]
    assert distribution.scores["operation"].tolist() == pytest.approx([0.1, 0.8, 0.4])


def test_loser_gives_no_more_than_it_has() -> None:
    distribution = MultinomialDistribution(_one("a", "b"), 0.4)
    assert _updated(distribution, ("a", 0.1), ("b", 0.9)) == pytest.approx([0.1, 0.9])
    assert _updated(distribution, ("a", 0.1)) == [0.0, 1.0]
    # Not lost for good.
    assert _updated(distribution, ("b", -5.0)) == pytest.approx([0.4, 0.6])


@pytest.mark.parametrize(("score_rate", "expected"), [(1.0, 4.0), (0.0, 2.0), (0.4, 2.2)])
def test_score_of_an_option(score_rate: float, expected: float) -> None:
    distribution = MultinomialDistribution(_one("a"), score_rate=score_rate)
    _updated(distribution, ("a", 1.0), ("a", 1.0), ("a", 4.0))
    assert distribution.scores["operation"][0] == pytest.approx(expected)


def test_inactive_decisions_are_left_alone() -> None:
    distribution = MultinomialDistribution(conditional_space())
    distribution.update(conditional_space().canonical({"operation": "skip"}), 0.5)
    assert distribution.counts["expansion"].tolist() == [0, 0]
    assert distribution.counts["residual"].tolist() == [1, 0]


def test_samples_follow_the_probabilities() -> None:
    distribution = MultinomialDistribution(_one("a", "b", "c", "d"))
    distribution.probabilities["operation"] = np.array([0.0, 0.7, 0.3, 0.0])
    rng = np.random.default_rng(0)
    counts = Counter(distribution.sample(rng)["operation"] for _ in range(2000))
    assert counts.keys() == {"b", "c"}
    assert abs(counts["b"] - 1400) < 82  # 4 standard deviations
    counts = Counter(distribution.sample(rng, exploration=0.4)["operation"] for _ in range(2000))
    assert all(abs(counts[o] - 2000 * p) < 90 for o, p in zip("abcd", (0.1, 0.52, 0.28, 0.1), strict=True))


def test_state_of_a_smaller_space() -> None:
    small, large = _one("a", "b"), SearchSpace([Decision("width", (8, 16)), Decision("operation", ("c", "a", "b"))])
    distribution = MultinomialDistribution(small, 0.3)
    assert _updated(distribution, ("a", 0.1), ("b", 0.9)) == pytest.approx([0.2, 0.8])
    grown = MultinomialDistribution(large, 0.3)
    grown.set_state(json.loads(json.dumps(distribution.get_state())))
    assert grown.probabilities["operation"] == pytest.approx([1 / 3, 0.2 * 2 / 3, 0.8 * 2 / 3])
    assert grown.counts["operation"].tolist() == [0, 1, 1]
    assert grown.scores["operation"].tolist() == [0.0, 0.1, 0.9]
    assert grown.probabilities["width"].tolist() == [0.5, 0.5]
    back = MultinomialDistribution(small, 0.3)
    back.set_state(grown.get_state())  # an option is gone
    assert back.probabilities["operation"].tolist() == [0.5, 0.5]


def test_extended_space_keeps_what_was_learnt() -> None:
    strategy = MDENASStrategy(flat_space(3), seed=0)
    run_search(strategy, 20)
    learnt = {name: values.tolist() for name, values in strategy.distribution.probabilities.items()}
    strategy.extend(SearchSpace([Decision("new", (1, 2)), *flat_space(3).decisions]))
    assert strategy.distribution.space is strategy.space
    kept = {name: values.tolist() for name, values in strategy.distribution.probabilities.items()}
    assert kept == {"new": [0.5, 0.5], **learnt}


def test_learns_from_successes_alone() -> None:
    strategy = MDENASStrategy(flat_space(), feasible=lambda a: a["d0"] != 2, seed=0)
    first, second, late = strategy.ask(3)
    infeasible = flat_space().canonical({"d0": 2})
    strategy.tell([Evaluation(first, {"val_accuracy": 0.5}, source="shared_weights", generation=2)])
    strategy.tell(
        [
            Evaluation(second, {"val_accuracy": 0.9}, error="crashed"),
            Evaluation(late, {"val_accuracy": 0.8}, source="shared_weights", generation=1),
            Evaluation(infeasible, {"val_accuracy": 0.7}),
        ]
    )
    assert all(counts.sum() == 1 for counts in strategy.distribution.counts.values())
    strategy.tell([Evaluation(first, error="crashed")])
    assert all(counts.sum() == 1 for counts in strategy.distribution.counts.values())


def test_newer_generation_keeps_the_distribution() -> None:
    strategy = MDENASStrategy(flat_space(), seed=0)
    for generation in (1, 2):
        for architecture in strategy.ask(10):
            score = {"val_accuracy": toy_score(architecture)}
            strategy.tell([Evaluation(architecture, score, source="shared_weights", generation=generation)])
    assert len(strategy.evaluations) == 10
    assert all(counts.sum() == 20 for counts in strategy.distribution.counts.values())


def test_minimised_objective_prefers_small_values() -> None:
    strategy = MDENASStrategy(flat_space(1), "val_loss", seed=0)
    for option, loss in enumerate((0.9, 0.5, 0.1)):
        strategy.tell([Evaluation(Architecture({"d0": option}), {"val_loss": loss})])
    assert strategy.distribution.probabilities["d0"].argmax() == 2


def test_beats_random_search() -> None:
    space = flat_space(5, 6)

    def best_scores(make: Callable[..., Strategy]) -> np.ndarray:
        return np.array([max(map(toy_score, run_search(make(space, seed=seed), 150))) for seed in range(20)])

    learnt, random = best_scores(MDENASStrategy), best_scores(RandomStrategy)
    assert learnt.mean() > random.mean() + 2 * (learnt - random).std() / np.sqrt(20)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.0), ("learning_rate", 1.5), ("score_rate", -0.1), ("exploration", 1.1)],
)
def test_settings_are_checked(name: str, value: float) -> None:
    with pytest.raises(InvalidArgumentError, match=f"Received: {name}={value}"):
        MDENASStrategy(flat_space(), **{name: value})


def test_oracle_takes_the_settings() -> None:
    strategy = MDENASOracle(space=flat_space(), learning_rate=0.5).strategy
    strategy.tell([toy_evaluation(flat_space().default())])
    assert strategy.distribution.learning_rate == 0.5
