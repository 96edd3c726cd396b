"""Figures of a search: where its time went, and what it found when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting.figures import DARK, LIGHT, literal, new_figure, plain_axes
from automl_keras.reporting.plots import SOURCE_LABELS
from automl_keras.reporting.trials import searched

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation
    from automl_keras.reporting.stages import Stage


def plot_stages(stages: Sequence[Stage], path: str | os.PathLike[str]) -> None:
    """Draw where the time of a fit went, as a PNG 900 pixels wide: a bar for each stage, one below the other.

    The dark part of a bar is training and evaluation.

    Args:
        stages: In their order.
        path: The file to write; an existing one is replaced.

    Raises:
        InvalidArgumentError: If there are no stages.
    """
    if not stages:
        raise InvalidArgumentError("`stages` must hold at least one. Received: stages=()")
    figure = new_figure(900, 140 + 34 * len(stages))
    axes = plain_axes(figure, "Where the time went", "Seconds since the start")
    starts = list(accumulate((stage.seconds for stage in stages[:-1]), initial=0.0))
    places = range(len(stages))
    axes.barh(places, [stage.seconds for stage in stages], left=starts, color=LIGHT, label="other")
    working = [stage.working_seconds for stage in stages]
    axes.barh(places, working, left=starts, color=DARK, label="training and evaluation")
    axes.set_yticks(places, [f"{literal(stage.name)}  {stage.seconds:.1f} s" for stage in stages])
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, format="png")


def plot_trials(
    evaluations: Sequence[Evaluation], path: str | os.PathLike[str], *, metric: str = "val_accuracy"
) -> None:
    """Draw a metric of the searched networks in their order, and the best so far, as a PNG of 900 x 600 pixels.

    These are the networks scored with shared weights or, if there are none, those of another source, as in
    `plot_evaluations`.

    Args:
        evaluations: In the order they were made.
        path: The file to write; an existing one is replaced.
        metric: A key of `Evaluation.metrics`; larger is better.

    Raises:
        InvalidArgumentError: If none has the metric.
    """
    source, trials = searched(evaluations, metric)
    if not trials:
        raise InvalidArgumentError(
            f"`evaluations` must hold one that did not fail and has the metric {metric!r}. "
            f"Received: evaluations with {len(evaluations)} items"
        )
    values = [trial.metrics[metric] for trial in trials]
    numbers = range(1, len(values) + 1)
    figure = new_figure(900, 600)
    name = metric.replace("val_", "validation ").replace("_", " ").capitalize()
    axes = plain_axes(figure, "The search", "Network evaluated", name)
    axes.scatter(numbers, values, s=22, color=LIGHT, label=f"{SOURCE_LABELS[source]} ({len(values)})", zorder=2)
    best = list(accumulate(values, max))
    label = f"best so far, {best[-1]:.4f} in the end"
    axes.plot(numbers, best, drawstyle="steps-post", color=DARK, linewidth=1.8, label=label, zorder=3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, format="png")
