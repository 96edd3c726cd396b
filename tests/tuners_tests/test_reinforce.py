import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners.reinforce import PRESETS, ENASOracle, ReinforceSettings, ReinforceStrategy, ReinforceTrainer
from benchmarks.nas_tables import load_table


class TestReinforceStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., ReinforceStrategy]:
        return partial(ReinforceStrategy, hidden_size=8)


class TestReinforceStrategyInBatches(StrategyTestCase):
    """With all terms; at the usual number of evaluations a batch has begun."""

    @pytest.fixture
    def make_strategy(self) -> Callable[..., ReinforceStrategy]:
        return partial(ReinforceStrategy, preset="released", batch_size=3, hidden_size=8)


def skip_space() -> SearchSpace:
    return SearchSpace(
        [
            Decision("op0", ("conv", "pool")),
            Decision("op1", ("conv", "pool")),
            Decision("skip1_0", (False, True), anchors=("op0",)),
            Decision("input2", ("image", "first", "second"), anchors=(None, "op0", "skip1_0")),
        ]
    )


def all_of(space: SearchSpace) -> list[Architecture]:
    values = product(*(decision.options for decision in space.decisions))
    return [space.canonical(dict(zip(space.names, v, strict=True))) for v in values]


def test_beats_random_search_on_a_published_table() -> None:
    """By order statistics; the mean of a few searches, so with room."""
    table = load_table("201-cifar100")
    regrets = []
    for seed in range(3):
        strategy = ReinforceStrategy(table.space, seed=seed)
        rng = np.random.default_rng(seed)
        for _ in range(200):
            [architecture] = strategy.ask()
            strategy.tell([Evaluation(architecture, {"val_accuracy": table.query(architecture, rng)})])
        best = strategy.best()
        assert best is not None
        regrets.append(table.regret(best.architecture))
    assert np.mean(regrets) < 0.8 * table.random_search_regret(200)


def test_expected_update_is_the_gradient_of_the_expected_return() -> None:
    """Summed over all architectures, each drawn with its probability; whatever the baseline."""
    settings = ReinforceSettings(hidden_size=4, entropy_weight=0.3, skip_weight=0.5)
    controller = settings.controller(skip_space(), seed=0)
    rng = np.random.default_rng(0)
    for weight in controller.weights.values():
        weight[...] = rng.normal(scale=0.7, size=weight.shape)
    trainer = ReinforceTrainer(controller, settings)
    architectures = all_of(skip_space())
    rewards = rng.normal(size=len(architectures)).tolist()

    def expected_return() -> float:
        return float(np.exp(controller.log_prob(architectures)) @ trainer.returns(architectures, rewards))

    returns, probabilities = trainer.returns(architectures, rewards), np.exp(controller.log_prob(architectures))
    estimates = [
        trainer.gradient([a], np.array([value - 0.2])) for a, value in zip(architectures, returns, strict=True)
    ]
    for name, weight in controller.weights.items():
        direction, start = rng.normal(size=weight.shape), weight.copy()
        values = []
        for step in (1e-5, -1e-5):
            weight[...] = start + step * direction
            values.append(expected_return())
        weight[...] = start
        expected = sum(p * np.sum(g[name] * direction) for p, g in zip(probabilities, estimates, strict=True))
        assert expected == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-8), name


def test_gradient_of_a_batch_is_the_mean() -> None:
    trainer = ReinforceTrainer(ReinforceSettings().controller(skip_space(), seed=0), ReinforceSettings())
    architectures = all_of(skip_space())[:3]
    batch = trainer.gradient(architectures, np.array([1.0, 2.0, -1.0]))
    single = [trainer.gradient([a], np.array([v])) for a, v in zip(architectures, (1.0, 2.0, -1.0), strict=True)]
    for name, value in batch.items():
        np.testing.assert_allclose(value, np.mean([g[name] for g in single], axis=0), atol=1e-12)


def test_baseline_is_a_moving_average_from_the_first_reward() -> None:
    settings = ReinforceSettings(baseline_decay=0.9, batch_size=2)
    trainer = ReinforceTrainer(settings.controller(skip_space(), seed=0), settings)
    before = {name: weight.copy() for name, weight in trainer.controller.weights.items()}
    baselines = []
    for reward in (1.0, 0.0, 0.0):
        trainer.update([skip_space().default()], [reward])
        baselines.append(trainer.baseline)
        if len(baselines) == 1:  # exactly the baseline: nothing to learn
            for name, weight in trainer.controller.weights.items():
                np.testing.assert_array_equal(weight, before[name])
    assert baselines == pytest.approx([1.0, 0.9, 0.81])


def test_adam_against_its_closed_form() -> None:
    """Two steps; the second one with a gradient of its own."""
    settings = ReinforceSettings(hidden_size=4, learning_rate=0.1, betas=(0.8, 0.9), epsilon=1e-3, baseline_decay=0.0)
    trainer = ReinforceTrainer(settings.controller(skip_space(), seed=0), settings)
    architectures, rewards = all_of(skip_space())[:2], [1.0, -1.0]
    weight = trainer.controller.weights["lstm"]
    expected, gradients = weight.copy(), []
    for _ in range(2):
        gradients.append(trainer.gradient(architectures, np.array(rewards))["lstm"])
        trainer.update(architectures, rewards)
    first, second = gradients
    expected += 0.1 * first / (np.abs(first) + 1e-3)
    mean, square = (0.8 * 0.2 * first + 0.2 * second) / 0.36, (0.9 * 0.1 * first**2 + 0.1 * second**2) / 0.19
    expected += 0.1 * mean / (np.sqrt(square) + 1e-3)
    np.testing.assert_allclose(weight, expected, rtol=1e-10)


def test_learns_what_depends_on_earlier_decisions() -> None:
    """Equal operations, and a skip connection where they are convolutions; the marginals alone say nothing."""

    def reward(architecture: Architecture) -> float:
        equal = architecture["op0"] == architecture["op1"]
        return float(equal and architecture["skip1_0"] == (architecture["op1"] == "conv"))

    settings = ReinforceSettings(entropy_weight=0.1)
    trainer = ReinforceTrainer(settings.controller(skip_space(), seed=0), settings)
    rng = np.random.default_rng(0)
    for _ in range(250):
        architectures = trainer.controller.sample(rng, 20)
        trainer.update(architectures, [reward(architecture) for architecture in architectures])
    probabilities = np.exp(trainer.controller.log_prob(all_of(skip_space())))
    good = [reward(a) > 0 for a in all_of(skip_space())]
    assert probabilities[good].sum() > 0.95
    assert probabilities[good].min() > 0.05  # entropy keeps all six


@pytest.mark.parametrize(
    ("objective", "transform"),
    [("val_accuracy", lambda score: 1e6 * score**5 - 3e5), ("val_loss", lambda score: 1 / score)],
)
def test_ranks_suit_any_objective(objective: str, transform: Callable[[float], float]) -> None:
    def evaluate(architecture: Architecture) -> Evaluation:
        return Evaluation(architecture, {objective: transform(toy_score(architecture))})

    proposals = run_search(ReinforceStrategy(flat_space(), objective, seed=0), 40, evaluate)
    assert proposals == run_search(ReinforceStrategy(flat_space(), seed=0), 40)


def test_updates_wait_for_a_batch_of_successes() -> None:
    strategy = ReinforceStrategy(flat_space(), seed=0, batch_size=3)
    first, second, failed, third = strategy.ask(4)
    strategy.tell([toy_evaluation(first), toy_evaluation(second), Evaluation(failed, error="crashed")])
    assert strategy.trainer.baseline is None
    strategy.tell([toy_evaluation(third)])
    assert strategy.trainer.baseline is not None


def test_settled_controller_finds_new_architectures_near_by() -> None:
    """In the first call of `propose`, however sure it is."""
    space = flat_space()
    strategy = ReinforceStrategy(space, seed=0, hidden_size=8)
    target = space.canonical({f"d{index}": index % 3 for index in range(8)})
    controller = strategy.trainer.controller
    while controller.log_prob([target])[0] < np.log(0.999):
        gradient = controller.gradient([target], 1.0)
        for name, weight in controller.weights.items():
            weight += 0.3 * gradient[name]
    [first] = strategy.ask()
    assert first == target
    drafts = [strategy.propose(np.random.default_rng(seed)) for seed in range(200)]
    assert np.mean([strategy.is_allowed(draft) for draft in drafts]) > 0.98
    distances = [sum(target[name] != value for name, value in draft.items()) for draft in drafts]
    assert np.mean(distances) < 3  # of random architectures: 5.3


def test_growing_space_keeps_what_was_learnt() -> None:
    """Of the old decisions exactly; the new one is open."""
    space = flat_space(4)
    strategy = ReinforceStrategy(space, seed=0)
    run_search(strategy, 60)
    architectures = all_of(space)
    before = strategy.trainer.controller.log_prob(architectures)
    assert before.max() > np.log(0.1)
    larger = SearchSpace([Decision("stem", (16, 32)), *space.decisions])
    strategy.extend(larger)
    np.testing.assert_array_equal(strategy.trainer.controller.log_prob(architectures), before)
    stems = [a["stem"] for a in strategy.trainer.controller.sample(np.random.default_rng(0), 200)]
    assert 60 < stems.count(16) < 140


def test_presets_keep_the_numbers_of_enas() -> None:
    released, paper = PRESETS["released"], PRESETS["paper"]
    assert (released.hidden_size, released.temperature, released.tanh_constant) == (64, 1.0, 1.5)
    assert (released.learning_rate, released.betas, released.epsilon) == (1e-3, (0.0, 0.999), 1e-3)
    assert (released.baseline_decay, released.entropy_weight, released.batch_size) == (0.99, 1e-4, 20)
    assert (paper.hidden_size, paper.temperature, paper.tanh_constant) == (100, 5.0, 2.5)
    assert (paper.learning_rate, paper.entropy_weight) == (3.5e-4, 0.1)
    for preset in (released, paper):
        assert (preset.skip_target, preset.skip_weight, preset.reward) == (0.4, 0.8, "score")


def test_settings_replace_those_of_the_preset() -> None:
    strategy = ReinforceStrategy(flat_space(), preset="released", learning_rate=0.1)
    assert strategy.settings == replace(PRESETS["released"], learning_rate=0.1)
    assert strategy.trainer.controller.tanh_constant == 1.5


@pytest.mark.parametrize(("settings", "preset"), [({}, "released"), ({"preset": "paper"}, "paper")])
def test_oracle_searches_as_enas(settings: dict[str, str], preset: str) -> None:
    served = ENASOracle(seed=0, **settings).strategy
    assert isinstance(served, ReinforceStrategy)
    assert served.settings == PRESETS[preset]


@pytest.mark.parametrize(
    "setting",
    [
        {"preset": "quick"},
        {"reward": "accuracy"},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"epsilon": float("nan")},
        {"entropy_weight": -1.0},
        {"baseline_decay": 1.0},
        {"betas": (0.9, 1.0)},
        {"hidden_size": 0},
    ],
)
def test_settings_are_checked(setting: dict) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(InvalidArgumentError, match=re.escape(f"Received: {name}={value!r}")):
        ReinforceStrategy(flat_space(), **setting)
