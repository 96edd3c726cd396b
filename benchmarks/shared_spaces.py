"""The two spaces of the benchmarks of weight sharing."""

from collections.abc import Mapping, Sequence

from automl_keras.search_space import OPERATIONS, Decision, ImageSearchSpace, Option, image_space

WIDTHS = (16, 24, 32, 48)


def open_decisions(space: ImageSearchSpace) -> list[Decision]:
    """The decisions that have more than one option."""
    return [decision for decision in space.decisions if len(decision.options) > 1]


def code(space: ImageSearchSpace, architecture: Mapping[str, Option]) -> str:
    """A name of an architecture: the places of its options, one digit for each open decision."""
    return "".join(str(decision.options.index(architecture[decision.name])) for decision in open_decisions(space))


def operations_space(
    image_shape: tuple[int, int, int],
    *,
    widths: Sequence[int] = WIDTHS,
    operations: Sequence[Sequence[str]] = (OPERATIONS,) * 4,
    full_resolution: int = 0,
) -> ImageSearchSpace:
    """One block in each of four stages, whose operation alone is open; expansion 2, kernel 3, ten classes.

    A first block has no skip connection, so "residual" is one convolution here.
    """
    decisions = [Decision("full_resolution", (full_resolution,))]
    for stage, (width, offered) in enumerate(zip(widths, operations, strict=True)):
        name = f"stage{stage}"
        has_expansion = tuple(operation for operation in offered if operation != "residual")
        decisions += [Decision(f"{name}_operation", tuple(offered)), Decision(f"{name}_kernel", (3,))]
        if has_expansion:
            decisions.append(Decision(f"{name}_expansion", (2,), parent=(f"{name}_operation", has_expansion)))
        decisions += [Decision(f"{name}_depth", (1,)), Decision(f"{name}_width", (width,))]
    return ImageSearchSpace(decisions, image_shape=image_shape, num_classes=10, num_stages=len(widths))


def sizes_space(image_shape: tuple[int, int, int], widths: Sequence[Sequence[int]]) -> ImageSearchSpace:
    """The part of the image space with one or two blocks in a stage, all operations, and some widths."""
    space = image_space(image_shape, 10)
    options: dict[str, Sequence[Option]] = {"full_resolution": space["full_resolution"].options[:1]}
    for stage, kept in enumerate(widths):
        name = f"stage{stage}"
        options |= {f"{name}_kernel": (3,), f"{name}_expansion": (2,), f"{name}_depth": (1, 2), f"{name}_width": kept}
    return space.restrict(options)
