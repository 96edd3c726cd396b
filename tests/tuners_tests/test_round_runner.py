"""Rounds of supernet training in which something learns, or somebody teaches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
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
from automl_keras.training import TrainingLog, predict, recipe_space
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


class Killed(BaseException):
    """Passes whatever catches exceptions, as the end of a process does."""


class WatchedTrainer(SupernetTrainer):
    """Keeps what teachers say about the images."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.taught: list[np.ndarray] = []

    def train(
        self, images: np.ndarray, *arguments: Any, teacher: keras.Model | None = None, **settings: Any
    ) -> TrainingLog:
        if teacher is not None:
            self.taught.append(predict(teacher, images))
        return super().train(images, *arguments, teacher=teacher, **settings)


def make_space(operation: str, **more: tuple) -> ImageSearchSpace:
    """Two widths in each stage: few layers are traced soon."""
    options: dict[str, tuple] = {}
    for stage in range(3):
        options |= {f"stage{stage}_width": (8, 16), f"stage{stage}_depth": (1,), f"stage{stage}_kernel": (3,)}
        options |= {f"stage{stage}_operation": (operation,), f"stage{stage}_expansion": (2,)}
    return image_space((8, 8, 1), 2).restrict(options | more)


def make_tuner(
    space: ImageSearchSpace,
    data: Dataset,
    directory: Path,
    max_trials: int,
    rounds: tuple[Round, ...],
    kind: str,
    on_round: Callable[[int, float], None] | None = None,
) -> SupernetTuner:
    supernet = make_supernet(space, INFO, seed=0)
    policy: Policy | None = None
    if kind == "controller":
        policy = ControllerPolicy(space, seed=0, num_updates=2, batch_size=3, hidden_size=8)
    elif kind == "multinomial":
        policy = MultinomialPolicy(space, seed=0)
    strategy = RandomStrategy(space, seed=0) if policy is None else DerivationStrategy(space, seed=0, policy=policy)
    trainer = WatchedTrainer(supernet, recipe_space().default(), batch_size=16)
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
        on_round=on_round,
        directory=str(directory),
        project_name="search",
    )


def proposed(tuner: SupernetTuner) -> list[tuple]:
    oracle = tuner.oracle
    trials = [oracle.trials[trial_id] for trial_id in oracle.start_order[oracle.rounds :]]
    return [(oracle.architecture(trial), trial.score) for trial in trials]


@pytest.mark.slow
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


def kill_in(last: int) -> Callable[[int, float], None]:
    """Ends a search in a round, once a policy has learnt in it."""

    def on_round(number: int, fraction: float) -> None:
        if number == last and fraction > 0.6:
            raise Killed

    return on_round


@pytest.mark.parametrize("kind", ["controller", pytest.param("multinomial", marks=pytest.mark.slow)])
def test_killed_between_the_phases_of_a_policy_and_gone_on_with(kind: str, data: Dataset, tmp_path: Path) -> None:
    """The second round begins with what the policy had learnt in the first one."""
    space = make_space("residual")
    rounds = (Round("policy", epochs=2), Round("policy", epochs=2))
    whole = make_tuner(space, data, tmp_path / "whole", 3, rounds, kind)
    whole.search(verbose=0)
    killed = make_tuner(space, data, tmp_path / "parts", 3, rounds, kind, on_round=kill_in(2))
    with pytest.raises(Killed):
        killed.search(verbose=0)
    resumed = make_tuner(space, data, tmp_path / "parts", 3, rounds, kind)
    assert resumed.generation == 1
    policies = [tuner.runner.policy for tuner in (whole, killed, resumed)]
    lengths = [len(policy.history) for policy in policies if policy is not None]
    assert lengths[2] == lengths[0] // 2 < lengths[1]  # the killed one had gone on to learn
    resumed.search(verbose=0)
    assert policies[2] is not None and policies[0] is not None
    assert policies[2].get_state() == policies[0].get_state()
    assert proposed(resumed) == proposed(whole)


@pytest.mark.slow
def test_progressive_shrinking_killed_and_gone_on_with(data: Dataset, tmp_path: Path) -> None:
    """The teacher is the first generation's full network, and channels are sorted as if nothing had happened."""
    space = make_space("fused_mbconv", stage0_kernel=(3, 5))
    rounds = shrinking_rounds(space, epochs=6)
    cut: list[np.ndarray] = []

    def cut_out(number: int, fraction: float) -> None:
        if number == 1 and fraction == 1.0:
            cut.append(predict(whole.scorer.subnet(space.extreme(largest=True)), data.images))

    whole = make_tuner(space, data, tmp_path / "whole", 3, rounds, "none", on_round=cut_out)
    whole.search(verbose=0)
    trained = [whole.oracle.trials[trial_id] for trial_id in whole.oracle.start_order[:3]]
    stages = [trial.hyperparameters.values["nas/stage"] for trial in trained]
    assert stages == ["full network", "elastic kernel", "elastic width, phase 2"]
    counted = [trial.metrics.get_last_value("gradient_evaluations") for trial in trained]
    steps = [max(1, round((planned.epochs or 0) * BATCHES)) for planned in rounds]
    assert counted == [number * (planned.num_paths or 1) for number, planned in zip(steps, rounds, strict=True)]

    killed = make_tuner(space, data, tmp_path / "parts", 3, rounds, "none", on_round=kill_in(3))
    with pytest.raises(Killed):
        killed.search(verbose=0)
    resumed = make_tuner(space, data, tmp_path / "parts", 3, rounds, "none")
    assert resumed.generation == 2
    resumed.search(verbose=0)
    assert len(proposed(resumed)) == 3 and proposed(resumed) == proposed(whole)
    weights = zip(resumed.trainer.supernet.get_weights(), whole.trainer.supernet.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in weights)
    [wanted] = cut
    for tuner, rounds_taught in ((whole, 2), (killed, 2), (resumed, 1)):
        assert isinstance(tuner.trainer, WatchedTrainer)
        assert len(tuner.trainer.taught) == rounds_taught
        assert all(np.array_equal(answers, wanted) for answers in tuner.trainer.taught)
    for tuner in (whole, resumed):
        kept = [tuner.generation_path(number).is_file() for number in (1, 2, 3)]
        assert kept == [True, False, True]  # the teacher and the latest


def test_a_round_that_is_tried_again_begins_with_the_weights_before_it(data: Dataset, tmp_path: Path) -> None:
    space = make_space("residual")
    rounds = (Round("uniform", epochs=1), Round("policy", epochs=2))
    whole = make_tuner(space, data, tmp_path / "whole", 3, rounds, "controller")
    whole.search(verbose=0)

    def fail(number: int, fraction: float) -> None:
        if number == 2 and fraction == 1.0:
            tuner.on_round = None
            raise RuntimeError("no memory")

    tuner = make_tuner(space, data, tmp_path / "parts", 3, rounds, "controller", on_round=fail)
    tuner.oracle.max_retries_per_trial = 1
    tuner.search(verbose=0)
    assert tuner.on_round is None  # it has failed once
    assert tuner.runner.policy is not None and whole.runner.policy is not None
    assert tuner.runner.policy.get_state() == whole.runner.policy.get_state()
    weights = zip(tuner.trainer.supernet.get_weights(), whole.trainer.supernet.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in weights)


@pytest.mark.parametrize(
    "settings", [{"options": {"stage0_width": (8,)}}, {"num_paths": 2}, {"teacher": True}, {"sort_channels": True}]
)
def test_a_round_on_a_policy_has_no_settings_of_its_own(settings: dict[str, Any], data: Dataset) -> None:
    space = make_space("residual")
    supernet = make_supernet(space, INFO)
    trainer = SupernetTrainer(supernet, recipe_space().default())
    policy, minibatches = MultinomialPolicy(space), MinibatchScorer(supernet, data.images, data.codes)
    rounds = (Round("policy", epochs=1, **settings),)
    with pytest.raises(InvalidArgumentError, match=f"Received: {next(iter(settings))}="):
        RoundRunner(trainer, data, rounds, policy=policy, minibatches=minibatches)


def test_a_round_on_a_policy_needs_one(data: Dataset) -> None:
    trainer = SupernetTrainer(make_supernet(make_space("residual"), INFO), recipe_space().default())
    with pytest.raises(InvalidArgumentError, match="policy=None"):
        RoundRunner(trainer, data, (Round("policy", epochs=1),))
