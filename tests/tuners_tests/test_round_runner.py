"""Rounds of supernet training in which something learns, or somebody teaches."""

from pathlib import Path

import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import ImageSearchSpace, image_space
from automl_keras.supernet import (
    MinibatchScorer,
    Round,
    SubnetScorer,
    SupernetTrainer,
    make_supernet,
    shrinking_rounds,
)
from automl_keras.training import recipe_space
from automl_keras.tuners import (
    ControllerPolicy,
    DerivationStrategy,
    MultinomialPolicy,
    Policy,
    RandomStrategy,
    RoundRunner,
    StrategyOracle,
    SupernetTuner,
)

INFO = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 64, 64)
BATCHES = 4  # in an epoch


def make_space(operation: str) -> ImageSearchSpace:
    """Two widths in each stage: few layers are traced soon."""
    options: dict[str, tuple] = {}
    for stage in range(3):
        options |= {f"stage{stage}_width": (8, 16), f"stage{stage}_depth": (1,), f"stage{stage}_kernel": (3,)}
        options |= {f"stage{stage}_operation": (operation,), f"stage{stage}_expansion": (2,)}
    return image_space((8, 8, 1), 2).restrict(options)


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 64).astype(np.int32)
    images = rng.integers(0, 100, (64, 8, 8, 1)).astype(np.uint8)
    images[codes == 1, :, :4] += 150
    return Dataset(images, codes)


def make_tuner(
    space: ImageSearchSpace, data: Dataset, directory: Path, max_trials: int, rounds: tuple[Round, ...], kind: str
) -> SupernetTuner:
    supernet = make_supernet(space, INFO, seed=0)
    policy: Policy | None = None
    if kind == "controller":
        policy = ControllerPolicy(space, seed=0, num_updates=2, batch_size=3, hidden_size=8)
    elif kind == "multinomial":
        policy = MultinomialPolicy(space, seed=0)
    strategy = RandomStrategy(space, seed=0) if policy is None else DerivationStrategy(space, seed=0, policy=policy)
    trainer = SupernetTrainer(supernet, recipe_space().default(), batch_size=16)
    minibatches = MinibatchScorer(supernet, data.images, data.codes)
    return SupernetTuner(
        StrategyOracle(
            strategy,
            max_trials=max_trials,
            rounds=len(rounds),
            stages=[planned.name or planned.sampler for planned in rounds],
        ),
        runner=RoundRunner(trainer, data, rounds, policy=policy, minibatches=minibatches),
        scorer=SubnetScorer(supernet, data.images, data.images, data.codes),
        directory=str(directory),
        project_name="search",
    )


def proposed(tuner: SupernetTuner) -> list[tuple]:
    oracle = tuner.oracle
    trials = [oracle.trials[trial_id] for trial_id in oracle.start_order[oracle.rounds :]]
    return [(oracle.architecture(trial), trial.score) for trial in trials]


@pytest.mark.parametrize(("kind", "phases"), [("controller", 3), ("multinomial", 12)])
def test_a_policy_learns_between_phases_and_is_kept(kind: str, phases: int, data: Dataset, tmp_path: Path) -> None:
    """What it measured is in the trial, and a search that goes on after the rounds proposes the same."""
    space = make_space("residual")
    rounds = (Round("uniform", epochs=1), Round("policy", epochs=3))
    whole = make_tuner(space, data, tmp_path / "whole", 5, rounds, kind)
    whole.search(verbose=0)
    trial = whole.oracle.trials[whole.oracle.start_order[1]]
    entropy = trial.metrics.get_history("entropy")
    assert [observation.step for observation in entropy] == list(range(1, phases + 1))
    assert trial.metrics.get_last_value("gradient_evaluations") == 3 * BATCHES
    make_tuner(space, data, tmp_path / "parts", 2, rounds, kind).search(verbose=0)
    resumed = make_tuner(space, data, tmp_path / "parts", 5, rounds, kind)
    assert resumed.runner.policy is not None and whole.runner.policy is not None
    assert resumed.runner.policy.history == whole.runner.policy.history
    resumed.search(verbose=0)
    assert proposed(resumed) == proposed(whole)


def test_progressive_shrinking_has_the_full_network_as_teacher(data: Dataset, tmp_path: Path) -> None:
    fused = make_space("fused_mbconv")
    rounds = shrinking_rounds(fused, epochs=4)
    tuner = make_tuner(fused, data, tmp_path, 3, rounds, "none")
    tuner.search(verbose=0)
    assert len(proposed(tuner)) == 3
    kept = [tuner.generation_path(number).is_file() for number in range(1, len(rounds) + 1)]
    assert kept == [True, *[False] * (len(rounds) - 2), True]  # the teacher and the latest
    trained = [tuner.oracle.trials[trial_id] for trial_id in tuner.oracle.start_order[: len(rounds)]]
    stages = [trial.hyperparameters.values["nas/stage"] for trial in trained]
    assert stages == ["full network", "elastic width, phase 2"]
    counted = [trial.metrics.get_last_value("gradient_evaluations") for trial in trained]
    steps = [max(1, round((planned.epochs or 0) * BATCHES)) for planned in rounds]
    assert counted == [number * (planned.num_paths or 1) for number, planned in zip(steps, rounds, strict=True)]


def test_a_round_on_a_policy_needs_one(data: Dataset) -> None:
    trainer = SupernetTrainer(make_supernet(make_space("residual"), INFO), recipe_space().default())
    with pytest.raises(InvalidArgumentError, match="policy=None"):
        RoundRunner(trainer, data, (Round("policy", epochs=1),))
