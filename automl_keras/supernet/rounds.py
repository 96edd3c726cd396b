"""`Round`: one round of supernet training as data, and what is done before it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from automl_keras.errors import InvalidTypeError
from automl_keras.search_space import NetworkSpace, Option
from automl_keras.supernet.channel_sorting import sort_channels
from automl_keras.supernet.image_supernet import ImageSupernet
from automl_keras.supernet.samplers import Sampler, make_sampler
from automl_keras.supernet.supernet import Supernet
from automl_keras.training import Limit


@dataclass(frozen=True)
class Round:
    """One round of supernet training: who draws the paths, out of what, and for how long.

    The first of all given limits ends the round.

    Attributes:
        sampler: A key of `SAMPLERS`.
        epochs: Passes over the data, or `None`.
        seconds: Wall-clock time, or `None`.
        learning_rate_scale: Factor on the recipe's peak learning rate.
        gradient_evaluations: Gradients of one path on one batch, or `None`: a step with several paths has several.
        options: The options that the round draws from, of the decisions whose others it leaves alone; `None` for all.
        num_paths: Paths in a step, where the sampler lets it be chosen; `None` for the sampler's own number.
        teacher: Whether every path learns from a teacher, too.
        sort_channels: Whether channels are sorted by importance before the round.
        name: What the round is for, in words.
    """

    sampler: str
    epochs: float | None = None
    seconds: float | None = None
    learning_rate_scale: float = 1.0
    gradient_evaluations: int | None = None
    options: Mapping[str, Sequence[Option]] | None = None
    num_paths: int | None = None
    teacher: bool = False
    sort_channels: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.options is not None:  # lists, where it was read from JSON
            object.__setattr__(self, "options", {name: tuple(kept) for name, kept in self.options.items()})

    def limit(self, num_images: int, batch_size: int, num_paths: int = 1) -> Limit:
        """The limit of a round that begins now.

        Args:
            num_images: Images in a pass over the data.
            batch_size: Images in a step.
            num_paths: Paths in a step.
        """
        steps = []
        if self.epochs is not None:
            steps.append(round(self.epochs * max(1, num_images // min(batch_size, num_images))))
        if self.gradient_evaluations is not None:
            steps.append(self.gradient_evaluations // num_paths)
        return Limit(
            steps=max(1, min(steps)) if steps else None,
            deadline=None if self.seconds is None else time.monotonic() + self.seconds,
        )

    def make_sampler(self, space: NetworkSpace, *, seed: int) -> Sampler:
        """The sampler of this round.

        Args:
            space: That of the supernet.
            seed: Of all draws.

        Raises:
            InvalidArgumentError: If there is no such sampler, or the space has no such options.
        """
        part = space if self.options is None else space.restrict(self.options)
        return make_sampler(self.sampler, part, seed=seed, num_paths=self.num_paths)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a round from `to_dict`."""
        return cls(**data)


def prepare_round(supernet: Supernet, planned: Round, previous: Round | None) -> None:
    """Do what a round wants done before its first step; the same again has no further effect.

    Args:
        supernet: Changed in place.
        planned: The round that begins.
        previous: The one before it, which has trained the smallest sizes so far; `None` if it is the first.

    Raises:
        InvalidTypeError: If channels are to be sorted in a supernet that is no `ImageSupernet`.
    """
    if not planned.sort_channels or previous is None:
        return
    if not isinstance(supernet, ImageSupernet):
        raise InvalidTypeError(
            f"`sort_channels` needs the supernet of an image space. Received: supernet={type(supernet).__name__}"
        )
    sort_channels(supernet, previous.options or {})
