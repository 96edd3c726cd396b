"""How the time of a fit with a supernet is divided."""

from __future__ import annotations

from dataclasses import dataclass, replace

from automl_keras.supernet import Round


@dataclass(frozen=True)
class Shares:
    """How the time of a fit with a supernet is divided; the winner is trained in what is left.

    Attributes:
        supernet: Share of the supernet's training.
        search: Share of the evaluations.
        largest: Under the sandwich rule, the largest networks' share of the supernet's training.
    """

    supernet: float
    search: float
    largest: float = 0.0

    @property
    def final(self) -> float:
        """Share of the final training."""
        return 1.0 - self.supernet - self.search


GROWING_DOWN = Shares(supernet=0.40, search=0.06, largest=0.75)  # with the largest network as a teacher
SHARED_START = Shares(supernet=0.15, search=0.05, largest=1 / 3)  # the winner inherits its first epochs
ASKED_FOR = Shares(supernet=0.40, search=0.10)  # a system that the user has named
TRAINING_SETUP = 0.7  # of what setting up a supernet takes, for its training; the rest for its scores


def with_setup(rounds: tuple[Round, ...], setup: float, epochs: float | None) -> tuple[Round, ...]:
    """The rounds with the time that setting up takes, and with the user's limit of epochs."""
    first = next(index for index, planned in enumerate(rounds) if not planned.teacher)
    with_teacher = [index for index, planned in enumerate(rounds) if planned.teacher]
    traced = {first, *with_teacher[:1]}  # with a teacher there is another graph
    return tuple(
        replace(planned, epochs=epochs, seconds=(planned.seconds or 0.0) + setup * (index in traced) / len(traced))
        for index, planned in enumerate(rounds)
    )
