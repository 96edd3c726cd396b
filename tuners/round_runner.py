"""`RoundRunner`: one round of supernet training, with what learns along the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from automl_keras.data import Dataset
from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Architecture
from automl_keras.supernet import MinibatchScorer, Round, SupernetTrainer
from automl_keras.training import TrainingLog
from automl_keras.tuners.policies import Policy

POLICY = "policy"  # the sampler of a round whose paths a policy draws
_NOT_ON_POLICY = ("options", "num_paths", "teacher", "sort_channels")  # settings of a `Round`


class PolicySampler:
    """Paths from a policy, one in each step.

    Args:
        policy: Draws.
        interval: Steps of a phase.
    """

    distill = False
    num_paths = 1

    def __init__(self, policy: Policy, interval: int) -> None:
        self.policy = policy
        self.interval = interval

    def draw(self, step: int) -> list[Architecture]:
        """What the policy draws after what it learnt before the step's phase."""
        return [self.policy.path(step // self.interval, step)]


class RoundRunner:
    """Runs the rounds of a plan on one supernet.

    Args:
        trainer: Trains the supernet.
        train: The training images.
        rounds: All rounds.
        policy: Draws the paths of rounds whose sampler is "policy".
        minibatches: What the policy learns from.

    Raises:
        InvalidArgumentError: If a round has the sampler "policy", and there is no policy or nothing to learn from,
            or it sets `options`, `num_paths`, `teacher` or `sort_channels`: a policy draws one path of the whole space.
    """

    def __init__(
        self,
        trainer: SupernetTrainer,
        train: Dataset,
        rounds: Sequence[Round],
        *,
        policy: Policy | None = None,
        minibatches: MinibatchScorer | None = None,
    ) -> None:
        on_policy = [planned for planned in rounds if planned.sampler == POLICY]
        if on_policy and (policy is None or minibatches is None):
            raise InvalidArgumentError(
                'A round with the sampler "policy" needs a policy, and minibatches that it learns from. '
                f"Received: policy={policy}, minibatches={minibatches}"
            )
        for planned in on_policy:
            given = [name for name in _NOT_ON_POLICY if getattr(planned, name) != getattr(Round, name)]
            if given:
                raise InvalidArgumentError(
                    f'A round with the sampler "policy" must not set {", ".join(_NOT_ON_POLICY)}. '
                    f"Received: {', '.join(f'{name}={getattr(planned, name)}' for name in given)}"
                )
        self.trainer = trainer
        self.train = train
        self.rounds = tuple(rounds)
        self.policy = policy
        self.minibatches = minibatches

    def run(
        self,
        number: int,
        *,
        teacher: keras.Model | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> TrainingLog:
        """Train the supernet as a round says.

        Args:
            number: Of the round, the first one is 1.
            teacher: A network of logits that every path learns from, too.
            on_progress: Called now and then with the progress in [0, 1].
        """
        planned, train = self.rounds[number - 1], self.train
        if planned.sampler == POLICY:
            return self._train_on_policy(number, on_progress)
        return self.trainer.train_round(
            train.images,
            train.codes,
            planned,
            number=number,
            previous=self.rounds[number - 2] if number > 1 else None,
            teacher=teacher,
            sample_weight=train.sample_weight,
            on_progress=on_progress,
        )

    def _train_on_policy(self, number: int, on_progress: Callable[[float], None] | None) -> TrainingLog:
        policy, minibatches = self.policy, self.minibatches
        assert policy is not None and minibatches is not None  # checked when made
        planned, trainer, train = self.rounds[number - 1], self.trainer, self.train
        epoch = max(1, train.num_examples // trainer.batch_size)
        interval = max(1, round(policy.phase_epochs * epoch))
        return trainer.train(
            train.images,
            train.codes,
            PolicySampler(policy, interval),
            planned.limit(train.num_examples, trainer.batch_size),
            sample_weight=train.sample_weight,
            learning_rate_scale=planned.learning_rate_scale,
            round_index=number,
            on_progress=on_progress,
            interval=interval,
            on_interval=lambda phases: policy.learn(phases - 1, minibatches.scores),
        )
