"""Progressive shrinking: the rounds in which a supernet grows down from its largest network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import ImageSearchSpace, Option
from automl_keras.supernet.rounds import Round

# The paper's later stages begin at 0.03 to 0.37 of the first one's rate, after 180 epochs of ImageNet. With a few
# hundred steps in each stage such rates leave the smallest sizes untrained.
LATER_RATE = 0.4
SIZES = ("kernel", "depth", "expansion", "width")


@dataclass(frozen=True)
class Stage:
    """A stage of progressive shrinking.

    Attributes:
        name: As the paper calls it.
        sizes: Whose smaller options are trained from now on.
        halfway: Whether only the larger half of their options (rounded up) is.
        epochs: Passes over the data in the paper.
        num_paths: Subnets in a step.
    """

    name: str
    sizes: tuple[str, ...]
    halfway: bool
    epochs: int
    num_paths: int


# Cai et al., ICLR 2020, section 4.1 and appendix B. There every size but the resolution has three options, of which
# the larger two are trained first.
STAGES = (
    Stage("full network", (), False, epochs=180, num_paths=1),
    Stage("elastic kernel", ("kernel",), False, epochs=125, num_paths=1),
    Stage("elastic depth, phase 1", ("depth",), True, epochs=25, num_paths=2),
    Stage("elastic depth, phase 2", ("depth",), False, epochs=125, num_paths=2),
    Stage("elastic width, phase 1", ("expansion", "width"), True, epochs=25, num_paths=4),
    Stage("elastic width, phase 2", ("expansion", "width"), False, epochs=125, num_paths=4),
)


def shrinking_rounds(
    space: ImageSearchSpace,
    *,
    epochs: float | None = None,
    seconds: float | None = None,
    gradient_evaluations: int | None = None,
) -> tuple[Round, ...]:
    """The rounds of progressive shrinking (Cai et al., ICLR 2020, section 3.3).

    Lengths and numbers of subnets in a step relate to each other as in the paper. Learning rates do not (`LATER_RATE`);
    each round has the one-cycle schedule of all trainings here. Stages that make nothing elastic are left out.
    What has no size is drawn uniformly from the first round on: the resolution, as in the paper, which draws the
    size of the images for every batch, and the operations, of which the paper has one. The last stages shrink the
    width of stages together with the expansion of blocks; the paper shrinks the latter alone.

    Args:
        space: Of the supernet.
        epochs: Passes over the data in all rounds together.
        seconds: Wall-clock time of all rounds together, shared out by the number of gradients.
        gradient_evaluations: Gradients of one path on one batch in all rounds together.

    Raises:
        InvalidArgumentError: If no total is given.
    """
    if epochs is None and seconds is None and gradient_evaluations is None:
        raise InvalidArgumentError(
            "Progressive shrinking needs a total. Received: epochs=None, seconds=None, gradient_evaluations=None"
        )
    planned = _elastic_stages(space)
    all_epochs = sum(stage.epochs for stage, _ in planned)
    all_work = sum(stage.epochs * stage.num_paths for stage, _ in planned)

    def limits(stage: Stage) -> dict[str, Any]:
        work = stage.epochs * stage.num_paths / all_work
        return {
            "epochs": None if epochs is None else epochs * stage.epochs / all_epochs,
            "seconds": None if seconds is None else seconds * work,
            "gradient_evaluations": None if gradient_evaluations is None else round(gradient_evaluations * work),
        }

    return tuple(
        Round(
            "uniform",
            learning_rate_scale=1.0 if stage is STAGES[0] else LATER_RATE,
            options=options,
            num_paths=stage.num_paths,
            teacher=stage is not STAGES[0],
            sort_channels="width" in stage.sizes,
            name=stage.name,
            **limits(stage),
        )
        for stage, options in planned
    )


def _elastic_stages(space: ImageSearchSpace) -> list[tuple[Stage, dict[str, tuple[Option, ...]]]]:
    """The stages that make something elastic, and the options of every size in each."""
    options = {
        decision.name: tuple(sorted(decision.options, reverse=True))
        for decision in space.decisions
        if decision.name.rpartition("_")[2] in SIZES
    }
    elastic = {name: falling[:1] for name, falling in options.items()}
    planned = [(STAGES[0], elastic)]
    for stage in STAGES[1:]:
        opened = {
            name: falling[: -(-len(falling) // 2)] if stage.halfway else falling
            for name, falling in options.items()
            if name.rpartition("_")[2] in stage.sizes
        }
        if {**elastic, **opened} != elastic:
            elastic = {**elastic, **opened}
            planned.append((stage, elastic))
    return planned
