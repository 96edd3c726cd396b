"""The plan of a fit: what to train, for how long, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from automl_keras.estimators.default_network import Feasible, ImageCosts, default_network
from automl_keras.estimators.shares import ASKED_FOR, GROWING_DOWN, SHARED_START, TRAINING_SETUP, with_setup
from automl_keras.estimators.spaces import FeasibleIn, setup_seconds, supernet_spaces, with_operations
from automl_keras.evaluation import CostPredictor
from automl_keras.search_space import (
    Architecture,
    ImageSearchSpace,
    MacroSearchSpace,
    NetworkSpace,
    network_space_from_dict,
)
from automl_keras.supernet import Round
from automl_keras.training import training_work
from automl_keras.tuners import System

MIN_EPOCHS = 16  # below, a network smaller than the default one is better
GROWTH_EPOCHS = 24  # from so many epochs on, a larger network is better
FULL_EPOCHS = 60  # from so many on, a higher resolution
DEFAULT_SLACK = 1.2  # lets the default fill a budget
SUPERNET_EPOCHS = 110  # a supernet pays once the default network could be trained this long
SUPERNET_SECONDS = 40.0
MAX_SETUP_SHARE = 0.5  # of the time, to set up a supernet
LEAST_SUPERNET_SECONDS = 15.0  # for a system that the user has named
OPERATIONS_EPOCHS = 800  # several operations in one supernet need this many
TEACHER_EPOCHS = 250  # so many give the largest network time to become a teacher
OPERATION, MORE_OPERATIONS = ("residual",), ("residual", "fused_mbconv")
FILE_SECONDS = 4.0  # export, quantise, measure
DEFAULT_EPOCHS = 30
MIN_STEPS = 300  # few images need more epochs: a network that took few steps has hardly moved
MIN_VALIDATION = 200  # on fewer images no network is seen to be better than another
PROBE_EPOCHS = 20  # of the space's default network
CUTOUT_EPOCHS, CUTOUT_IMAGES = 50, 1_000  # cutout harms shorter trainings, and those on fewer images
# A larger square is better where a network can learn its images by heart: it has weights enough, and much
# work is spent on each image.
LARGE_CUTOUT_PARAMS, LARGE_CUTOUT_WORK = 3.0, 1.2e9  # for each image, in units of `training_work` the latter
COUNTED_SUPERNET = 1.25  # times the epochs of the final training, where epochs are counted
LARGEST_SHARE = 0.8


@dataclass(frozen=True)
class Probe:
    """A short training, or a question to a trained network, that decided one choice of the recipe.

    Attributes:
        choice: Name of the decision of the recipe.
        scores: Validation accuracy of each option tried; for a flip, on images as they are and mirrored.
        chosen: The option taken.
    """

    choice: str
    scores: dict[str, float]
    chosen: Any

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form."""
        return {"choice": self.choice, "scores": self.scores, "chosen": self.chosen}


@dataclass(frozen=True)
class Plan:
    """What a fit does after its first small model.

    Attributes:
        recipe: How the final network is trained.
        probes: What decided the recipe.
        default: The network to finish if nothing is searched, and the first one the search evaluates.
        space: The part of the search space that the supernet spans; `None` for no supernet.
        rounds: Rounds of supernet training.
        max_trials: Evaluated architectures at most; `None` for no limit.
        search_seconds: Time for the evaluations; `None` for no limit.
        final_epochs: Epochs of the final training; `None` for no limit.
        final_seconds: Time of the final training as planned; `None` for no limit.
        reason: One sentence for the user.
    """

    recipe: Architecture
    probes: tuple[Probe, ...]
    default: Architecture
    space: NetworkSpace | None
    rounds: tuple[Round, ...]
    max_trials: int | None
    search_seconds: float | None
    final_epochs: float | None
    final_seconds: float | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form, for the project directory."""
        return {
            "recipe": self.recipe.to_dict(),
            "probes": [probe.to_dict() for probe in self.probes],
            "default": self.default.to_dict(),
            "space": None if self.space is None else self.space.to_dict(),
            "rounds": [planned.to_dict() for planned in self.rounds],
            "max_trials": self.max_trials,
            "search_seconds": self.search_seconds,
            "final_epochs": self.final_epochs,
            "final_seconds": self.final_seconds,
            "reason": self.reason,
        }

    def within(self, seconds_left: float | None, rounds_done: int) -> Plan:
        """A plan with a supernet, its times cut in proportion where what is left to do takes longer than there is.

        A fit that was interrupted trains the round in hand from its beginning, for which no time was planned.

        Args:
            seconds_left: Until the time limit; `None` for no limit.
            rounds_done: Rounds that are not trained again.
        """
        if seconds_left is None:
            return self
        to_do = [*(planned.seconds for planned in self.rounds[rounds_done:]), self.search_seconds, self.final_seconds]
        share = min(1.0, max(1.0, seconds_left - FILE_SECONDS) / sum(seconds or 0.0 for seconds in to_do))
        return replace(
            self,
            rounds=tuple(replace(planned, seconds=share * (planned.seconds or 0.0)) for planned in self.rounds),
            search_seconds=share * (self.search_seconds or 0.0),
            final_seconds=share * (self.final_seconds or 0.0),
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Rebuild a plan from `to_dict`."""
        space = data["space"]
        return cls(
            **{
                **data,
                "recipe": Architecture.from_dict(data["recipe"]),
                "probes": tuple(Probe(**probe) for probe in data["probes"]),
                "default": Architecture.from_dict(data["default"]),
                "space": None if space is None else network_space_from_dict(space),
                "rounds": tuple(Round.from_dict(planned) for planned in data["rounds"]),
            }
        )


@dataclass(frozen=True)
class Means:
    """What a plan has to work with.

    Attributes:
        seconds_left: Until the time limit; `None` for no limit.
        work_per_second: Training speed measured so far, in units of `training_work`.
        setup_per_layer: Seconds that setting up the training of a network took for each of its convolutions.
        num_train: Number of training images.
        num_validation: Number of images that the search compares networks on.
        steps_per_epoch: Training steps that see each image once.
        max_trials: The user's limit of evaluated architectures.
        epochs: The user's number of epochs.
        system: How to search with shared weights.
        macro: The user's macro space, if there is one.
    """

    seconds_left: float | None
    work_per_second: float
    setup_per_layer: float
    num_train: int
    num_validation: int
    steps_per_epoch: int
    max_trials: int | None
    epochs: int | None
    system: System
    macro: MacroSearchSpace | None = None

    @property
    def usable_seconds(self) -> float:
        """Seconds left for training; endless without a time limit."""
        return math.inf if self.seconds_left is None else max(1.0, self.seconds_left - FILE_SECONDS)

    @property
    def counted_epochs(self) -> int:
        """Epochs where no time limit ends a training."""
        return self.epochs or max(DEFAULT_EPOCHS, math.ceil(MIN_STEPS / self.steps_per_epoch))

    @property
    def work_per_image(self) -> float:
        """Units of `training_work` that can be spent on each training image; endless without a time limit."""
        return self.work_per_second * self.usable_seconds / self.num_train


def make_plan(
    predict_cost: ImageCosts,
    feasible_in: FeasibleIn,
    recipe: Architecture,
    probes: tuple[Probe, ...],
    means: Means,
) -> Plan:
    """Divide what is left: by the clock if there is a time limit, else by epochs and trials.

    Args:
        predict_cost: For the image space.
        feasible_in: Tells for any space what is feasible.
        recipe: As far as it is decided.
        probes: What decided it.
        means: What there is.
    """
    part = with_operations(predict_cost.space, means.system.operations)
    if part is not predict_cost.space:
        predict_cost = CostPredictor(part, predict_cost.info, quantization=predict_cost.quantization)
    default, epochs = affordable_default(predict_cost, feasible_in(part), means)
    space = None
    if _is_worth_a_supernet(means, epochs):
        operations = means.system.operations or (MORE_OPERATIONS if epochs >= OPERATIONS_EPOCHS else OPERATION)
        max_work = DEFAULT_SLACK * training_work(part.network_spec(default))
        spaces = supernet_spaces(predict_cost, default, means.system, operations, feasible_in, max_work, means.macro)
        longest = MAX_SETUP_SHARE * means.usable_seconds
        space = next((each for each in spaces if setup_seconds(each, means.setup_per_layer) <= longest), None)
    divide = _counted_plan if means.seconds_left is None else _timed_plan
    return divide(predict_cost, default, epochs, space, recipe, probes, means)


def _is_worth_a_supernet(means: Means, epochs: float) -> bool:
    """Whether to search: a system that the user has named is run wherever that is possible."""
    if means.max_trials == 1:
        return False
    if means.seconds_left is None:
        return True
    if means.num_validation < MIN_VALIDATION:
        return False
    if means.system.training != "sandwich":
        return means.usable_seconds >= LEAST_SUPERNET_SECONDS
    return epochs >= SUPERNET_EPOCHS and means.usable_seconds >= SUPERNET_SECONDS


def _why_no_supernet(epochs: float, means: Means) -> str:
    """For the user, whose system or space is not used."""
    if means.max_trials == 1:
        return "one architecture was asked for"
    if means.num_validation < MIN_VALIDATION:
        return f"{means.num_validation} validation images are too few to compare networks on"
    if means.system.training == "sandwich":
        return f"about {epochs:.0f} epochs fit into the time"
    named = "no supernet" if means.macro is None else "no supernet of the given macro space"
    return f"{named} could be set up and trained in the time"


def _timed_plan(
    predict_cost: ImageCosts,
    default: Architecture,
    epochs: float,
    space: NetworkSpace | None,
    recipe: Architecture,
    probes: tuple[Probe, ...],
    means: Means,
) -> Plan:
    usable = means.usable_seconds
    if space is None:
        return Plan(
            recipe=_with_cutout(recipe, predict_cost, default, means, epochs),
            probes=probes,
            default=default,
            space=None,
            rounds=(),
            max_trials=1,
            search_seconds=None,
            final_epochs=means.epochs,
            final_seconds=usable,
            reason=f"{_why_no_supernet(epochs, means)}: one network gets all of the time",
        )
    setup = setup_seconds(space, means.setup_per_layer)
    usable -= setup
    teaching = epochs >= TEACHER_EPOCHS and means.system.training == "sandwich"
    shares = ASKED_FOR if means.system.training != "sandwich" else GROWING_DOWN if teaching else SHARED_START
    rounds = means.system.rounds(space, epochs=None, seconds=shares.supernet * usable, largest=shares.largest)
    return Plan(
        recipe=_with_cutout(recipe, predict_cost, default, means, shares.final * epochs, distillation=teaching),
        probes=probes,
        default=default,
        space=space,
        rounds=with_setup(rounds, TRAINING_SETUP * setup, means.epochs),
        max_trials=means.max_trials,
        search_seconds=shares.search * usable + (1.0 - TRAINING_SETUP) * setup,
        final_epochs=means.epochs,
        final_seconds=shares.final * usable,
        reason=f"about {epochs:.0f} epochs fit into the time: a supernet is trained and searched first",
    )


def affordable_default(predict_cost: ImageCosts, feasible: Feasible, means: Means) -> tuple[Architecture, float]:
    """The default network that the time can train, and for how many epochs it could."""
    space = predict_cost.space
    usual_work = DEFAULT_SLACK * training_work(space.network_spec(space.default()))
    if means.seconds_left is None:
        return default_network(predict_cost, feasible, usual_work, usual_work), float(means.counted_epochs)
    max_work = max(min(usual_work, means.work_per_image / MIN_EPOCHS), means.work_per_image / GROWTH_EPOCHS)
    default = default_network(predict_cost, feasible, max_work, means.work_per_image / FULL_EPOCHS)
    return default, means.work_per_image / training_work(space.network_spec(default))


def is_worth_probing(space: ImageSearchSpace, means: Means) -> bool:
    """Whether the final training will be long enough for its recipe to make a difference."""
    epochs = means.work_per_image / training_work(space.network_spec(space.default()))
    return min(epochs, means.epochs or math.inf) >= PROBE_EPOCHS


def _counted_plan(
    predict_cost: ImageCosts,
    default: Architecture,
    epochs: float,
    space: NetworkSpace | None,
    recipe: Architecture,
    probes: tuple[Probe, ...],
    means: Means,
) -> Plan:
    teaching = space is not None and means.system.training == "sandwich"
    rounds: tuple[Round, ...] = ()
    if space is not None:
        rounds = means.system.rounds(space, epochs=COUNTED_SUPERNET * epochs, seconds=None, largest=LARGEST_SHARE)
    return Plan(
        recipe=_with_cutout(recipe, predict_cost, default, means, epochs, distillation=teaching),
        probes=probes,
        default=default,
        space=space,
        rounds=rounds,
        max_trials=means.max_trials,
        search_seconds=None,
        final_epochs=epochs,
        final_seconds=None,
        reason=f"{means.max_trials} architectures, {epochs:g} epochs",
    )


def _with_cutout(
    recipe: Architecture,
    predict_cost: ImageCosts,
    network: Architecture,
    means: Means,
    epochs: float,
    *,
    distillation: bool = False,
) -> Architecture:
    """The recipe with the cutout that suits a network and how long it is trained."""
    epochs = min(epochs, means.epochs or epochs)
    work = epochs * training_work(predict_cost.space.network_spec(network))
    params = predict_cost(network).params or 0
    cutout = 0.18 if epochs >= CUTOUT_EPOCHS else 0.0
    if work >= LARGE_CUTOUT_WORK and params >= LARGE_CUTOUT_PARAMS * means.num_train:
        cutout = 0.3
    if means.num_train < CUTOUT_IMAGES:
        cutout = 0.0
    return Architecture({**recipe, "cutout": cutout, "distillation": distillation})
