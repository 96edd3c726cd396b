"""Small search spaces and a score that costs microseconds, to try strategies on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from itertools import pairwise

from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.search_space.decision import Option


def flat_space(num_decisions: int = 8, num_options: int = 3) -> SearchSpace:
    """Independent decisions `d0`, `d1`, ... with the options 0, 1, ...; 6,561 architectures by default."""
    return SearchSpace([Decision(f"d{index}", tuple(range(num_options))) for index in range(num_decisions)])


def conditional_space() -> SearchSpace:
    """Options of every type, a child and a grandchild that are not always active; 36 architectures."""
    return SearchSpace(
        [
            Decision("operation", ("conv", "mbconv", "skip"), default="mbconv"),
            Decision("expansion", (2, 4), parent=("operation", ("mbconv",))),
            Decision("squeeze", (0.25, 0.5), parent=("expansion", (4,))),
            Decision("kernel", (3, 5), parent=("operation", ("conv", "mbconv"))),
            Decision("residual", (False, True)),
            Decision("width", (8,)),
            Decision("pool", ("max", "average")),
        ]
    )


def toy_score(architecture: Mapping[str, Option]) -> float:
    """A score in [0, 1]: a part for every option chosen and, half as heavy, one for every pair of neighbours.

    It depends on names and options alone and is the same in every process. Without a choice it is 0.
    """
    choices = [f"{name}={option}" for name, option in architecture.items()]
    pairs = [f"{first},{second}" for first, second in pairwise(choices)]
    total = sum(_unit(choice) for choice in choices) + 0.5 * sum(_unit(pair) for pair in pairs)
    return total / (len(choices) + 0.5 * len(pairs)) if choices else 0.0


def toy_evaluation(architecture: Architecture, objective: str = "val_accuracy") -> Evaluation:
    """An evaluation with `toy_score` under the name `objective`."""
    return Evaluation(architecture, {objective: toy_score(architecture)})


def _unit(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32
