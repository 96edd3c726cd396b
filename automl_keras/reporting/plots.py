"""`plot_evaluations`: what networks reach against what they need."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from automl_keras.errors import InvalidArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from automl_keras.evaluation import Evaluation

COST_LABELS = {  # what it is, and its unit
    "params": ("Parameters", ""),
    "macs": ("Multiply-accumulates per image", ""),
    "size_kb": ("File size", "kB"),
    "ram_kb": ("Peak activation memory", "kB"),
    "latency_ms": ("Latency", "ms"),
    "bit_ops": ("Bit operations per image", ""),
}
SOURCE_LABELS = {
    "predicted": "predicted",
    "shared_weights": "shared weights",
    "standalone": "trained alone",
    "file": "measured file",
}
# Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008).
SOURCE_STYLES: dict[str, dict[str, Any]] = {
    "predicted": {"marker": "o", "s": 14, "facecolor": "#d9d9d9", "edgecolor": "none"},
    "shared_weights": {"marker": "o", "s": 20, "facecolor": "#a9cfe8", "edgecolor": "none"},
    "standalone": {"marker": "o", "s": 32, "facecolor": "#56b4e9", "edgecolor": "#0072b2"},
    "file": {"marker": "D", "s": 52, "facecolor": "#009e73", "edgecolor": "white"},
}
FRONT_COLOR = "#0072b2"
HIGHLIGHT_COLOR = "#d55e00"
LIMIT_COLOR = "#555555"
# The front is that of the searched scores: files, trained to the end, would hide it, and predictions are no results.
FRONT_SOURCES = ("shared_weights", "standalone", "file", "predicted")


def pareto_front(evaluations: Iterable[Evaluation], metric: str, cost: str) -> list[Evaluation]:
    """The evaluations that no other one beats: none is as good for less, or better for no more.

    Failed evaluations and those whose cost is unknown are left out. Of several with the same metric
    and the same cost the first is kept.

    Args:
        evaluations: What to choose from.
        metric: A key of `Evaluation.metrics`; larger is better.
        cost: A field of `Cost`; smaller is better.

    Returns:
        The front by growing cost, and so by growing metric.

    Raises:
        InvalidArgumentError: If `cost` is not a field of `Cost`.
    """
    front: list[Evaluation] = []
    for evaluation in sorted(_known(evaluations, metric, cost), key=lambda e: (_cost(e, cost), -e.metrics[metric])):
        if not front or evaluation.metrics[metric] > front[-1].metrics[metric]:
            front.append(evaluation)
    return front


def plot_evaluations(
    evaluations: Sequence[Evaluation],
    path: str | os.PathLike[str],
    *,
    metric: str = "val_accuracy",
    cost: str = "size_kb",
    highlight: Evaluation | None = None,
    limit: float | None = None,
) -> None:
    """Draw a metric against a cost for all evaluated networks, as a PNG of 900 x 600 pixels.

    Scores are drawn by their source. The line is the Pareto front of the scores with shared weights
    or, if there are none, of networks trained alone, files or predictions: scores of different
    sources are not comparable. Failed evaluations and those whose cost is unknown are left out.

    Args:
        evaluations: What to draw.
        path: The file to write; an existing one is replaced.
        metric: A key of `Evaluation.metrics`; larger is better.
        cost: A field of `Cost`.
        highlight: The evaluation of the exported network, which is drawn on top.
        limit: The budget's limit for the cost, in its unit.

    Raises:
        InvalidArgumentError: If `cost` is not a field of `Cost`, or no evaluation can be drawn.
    """
    known = _known(evaluations, metric, cost)
    if not known:
        raise InvalidArgumentError(
            f"`evaluations` must hold one that did not fail and has the metric {metric!r} and the cost {cost!r}. "
            f"Received: evaluations with {len(evaluations)} items"
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for layer, (source, style) in enumerate(SOURCE_STYLES.items()):
        points = [evaluation for evaluation in known if evaluation.source == source]
        if points:
            label = f"{SOURCE_LABELS[source]} ({len(points)})"
            axes.scatter(*_coordinates(points, metric, cost), label=label, zorder=2 + layer, **style)
    front_source = next(source for source in FRONT_SOURCES if any(e.source == source for e in known))
    front = pareto_front([e for e in known if e.source == front_source], metric, cost)
    axes.plot(
        *_coordinates(front, metric, cost),
        label=f"Pareto front ({SOURCE_LABELS[front_source]})",
        drawstyle="steps-post",
        marker="o",
        markersize=4,
        color=FRONT_COLOR,
        linewidth=1.8,
        zorder=3.5,
    )
    for evaluation in _known([highlight] if highlight else [], metric, cost):
        x, y = _cost(evaluation, cost), evaluation.metrics[metric]
        label = f"exported: {y:.4f} at {_quantity(x, cost)}"
        axes.scatter([x], [y], label=label, marker="*", s=330, facecolor=HIGHLIGHT_COLOR, edgecolor="white", zorder=7)
    if limit is not None:
        axes.axvline(limit, label=f"limit: {_quantity(limit, cost)}", color=LIMIT_COLOR, linestyle="--", zorder=1.5)
    _label(axes, metric, cost)
    figure.legend(loc="outside lower center", ncols=3, fontsize=11, frameon=False)  # where it hides no point
    figure.savefig(path, format="png")


def _known(evaluations: Iterable[Evaluation], metric: str, cost: str) -> list[Evaluation]:
    """Those that can be drawn."""
    if cost not in COST_LABELS:
        raise InvalidArgumentError(f"`cost` must be one of {sorted(COST_LABELS)}. Received: cost={cost!r}")
    return [e for e in evaluations if not e.failed(metric) and math.isfinite(_cost(e, cost))]


def _cost(evaluation: Evaluation, name: str) -> float:
    value = getattr(evaluation.cost, name)
    return math.nan if value is None else float(value)


def _coordinates(evaluations: Iterable[Evaluation], metric: str, cost: str) -> tuple[list[float], list[float]]:
    points = [(_cost(evaluation, cost), evaluation.metrics[metric]) for evaluation in evaluations]
    return [x for x, _ in points], [y for _, y in points]


def _quantity(value: float, cost: str) -> str:
    shown = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{shown} {COST_LABELS[cost][1]}".rstrip()


def _label(axes: Axes, metric: str, cost: str) -> None:
    """Name the axes and what they hold."""
    name, unit = COST_LABELS[cost]
    axes.set_xlabel(f"{name} ({unit})" if unit else name, fontsize=12)
    axes.set_ylabel(metric.replace("val_", "validation ").replace("_", " ").capitalize(), fontsize=12)
    axes.set_title("Evaluated networks", fontsize=14)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.04)
