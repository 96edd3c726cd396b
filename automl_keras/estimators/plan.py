"""The plan of a fit: what to train, for how long, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from automl_keras.estimators.default_network import Feasible, ImageCosts, default_network, neighbourhood
from automl_keras.search_space import Architecture, ImageSearchSpace
from automl_keras.supernet import Round
from automl_keras.training import training_work

MIN_EPOCHS = 16  # below, a network smaller than the default one is better
GROWTH_EPOCHS = 24  # from so many epochs on, a larger network is better
FULL_EPOCHS = 30  # from so many on, a higher resolution
DEFAULT_SLACK = 1.2  # lets the default fill a budget
SUPERNET_EPOCHS = 110  # a supernet pays once the default network could be trained this long
SUPERNET_SECONDS = 40.0
OPERATIONS_EPOCHS = 800  # several operations in one supernet need this many
TEACHER_EPOCHS = 250  # so many give the largest network time to become a teacher
FILE_SECONDS = 4.0  # export, quantise, measure
DEFAULT_EPOCHS = 30
MIN_STEPS = 300  # few images need more epochs: a network that took few steps has hardly moved
MIN_VALIDATION = 200  # on fewer images no network is seen to be better than another
PROBE_EPOCHS = 20  # of the space's default network
CUTOUT_EPOCHS = 50  # cutout harms shorter trainings
# A larger square is better where a network can learn its images by heart: it has weights enough, and much
# work is spent on each image.
LARGE_CUTOUT_PARAMS = 3.0  # for each image
LARGE_CUTOUT_WORK = 8e8  # of `training_work`, on each image


@dataclass(frozen=True)
class Shares:
    """How the time of a fit with a supernet is divided; the winner is trained in what is left."""

    largest: float
    sandwich: float
    search: float

    @property
    def final(self) -> float:
        """Share of the final training."""
        return 1.0 - self.largest - self.sandwich - self.search


GROWING_DOWN = Shares(largest=0.30, sandwich=0.10, search=0.06)  # with the largest network as a teacher
SHARED_START = Shares(largest=0.05, sandwich=0.10, search=0.05)  # the winner inherits its first epochs


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
    space: ImageSearchSpace | None
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
            "rounds": [settings.to_dict() for settings in self.rounds],
            "max_trials": self.max_trials,
            "search_seconds": self.search_seconds,
            "final_epochs": self.final_epochs,
            "final_seconds": self.final_seconds,
            "reason": self.reason,
        }

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
                "space": None if space is None else ImageSearchSpace.from_dict(space),
                "rounds": tuple(Round(**settings) for settings in data["rounds"]),
            }
        )


@dataclass(frozen=True)
class Means:
    """What a plan has to work with.

    Attributes:
        seconds_left: Until the time limit; `None` for no limit.
        work_per_second: Training speed measured so far, in units of `training_work`.
        num_train: Number of training images.
        num_validation: Number of images that the search compares networks on.
        steps_per_epoch: Training steps that see each image once.
        max_trials: The user's limit of evaluated architectures.
        epochs: The user's number of epochs.
        sampler: The sampler of the chosen system.
    """

    seconds_left: float | None
    work_per_second: float
    num_train: int
    num_validation: int
    steps_per_epoch: int
    max_trials: int | None
    epochs: int | None
    sampler: str

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
    feasible: Feasible,
    recipe: Architecture,
    probes: tuple[Probe, ...],
    means: Means,
) -> Plan:
    """Divide what is left: by the clock if there is a time limit, else by epochs and trials."""
    if means.seconds_left is None:
        return _counted_plan(predict_cost, feasible, recipe, probes, means)
    default, epochs = affordable_default(predict_cost, feasible, means)
    usable = means.usable_seconds
    searching = (
        epochs >= SUPERNET_EPOCHS
        and usable >= SUPERNET_SECONDS
        and means.num_validation >= MIN_VALIDATION
        and (means.max_trials is None or means.max_trials > 1)
    )
    if not searching:
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
            reason=f"about {epochs:.0f} epochs fit into the time: one network gets all of it",
        )
    teaching = epochs >= TEACHER_EPOCHS
    shares = GROWING_DOWN if teaching else SHARED_START
    operations = ("residual", "fused_mbconv") if epochs >= OPERATIONS_EPOCHS else ("residual",)
    return Plan(
        recipe=_with_cutout(recipe, predict_cost, default, means, shares.final * epochs, distillation=teaching),
        probes=probes,
        default=default,
        space=neighbourhood(predict_cost.space, default, operations=operations),
        rounds=(
            Round("largest", epochs=means.epochs, seconds=shares.largest * usable),
            Round(means.sampler, epochs=means.epochs, seconds=shares.sandwich * usable, learning_rate_scale=0.4),
        ),
        max_trials=means.max_trials,
        search_seconds=shares.search * usable,
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
    feasible: Feasible,
    recipe: Architecture,
    probes: tuple[Probe, ...],
    means: Means,
) -> Plan:
    default, epochs = affordable_default(predict_cost, feasible, means)
    searching = means.max_trials is None or means.max_trials > 1
    return Plan(
        recipe=_with_cutout(recipe, predict_cost, default, means, epochs, distillation=searching),
        probes=probes,
        default=default,
        space=neighbourhood(predict_cost.space, default, operations=("residual",)) if searching else None,
        rounds=(
            Round("largest", epochs=epochs),
            Round(means.sampler, epochs=max(1.0, epochs / 4), learning_rate_scale=0.4),
        )
        if searching
        else (),
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
    return Architecture({**recipe, "cutout": cutout, "distillation": distillation})
