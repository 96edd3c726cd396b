"""The part of the report about the search: where the time went, and what was found when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from automl_keras.reporting.html.charts import Axes, chart, padded, path, text
from automl_keras.reporting.html.elements import (
    Markup,
    duration,
    element,
    figure,
    number_cell,
    pair,
    paragraph,
    section,
    table,
)
from automl_keras.reporting.html.names import metric_name
from automl_keras.reporting.plots import SOURCE_LABELS
from automl_keras.reporting.results import SearchResults
from automl_keras.reporting.stages import Stage
from automl_keras.reporting.trials import searched

MAX_POINTS = 1_500


def timeline_section(results: SearchResults) -> Markup:
    """The stages of the fit and the trials of the search."""
    plan = [] if results.plan is None else [paragraph(f"The plan: {results.plan['reason']}.")]
    return section("search", "Search", *plan, pair(_stages(results.stages), _trials(results)))


def _stages(stages: Sequence[Stage]) -> Markup:
    if not stages:
        return paragraph("Where the time went is not known of this network.", class_="note")
    total = sum(stage.seconds for stage in stages) or 1.0
    starts = accumulate((stage.seconds for stage in stages), initial=0.0)
    rows = []
    for stage, start in zip(stages, starts, strict=False):  # one more start, the end of all
        share, working = 100 * stage.seconds / total, 100 * stage.working_seconds / total
        bar = element(
            "td",
            element(
                "span",
                element("span", class_="bar weak", style=f"left:{100 * start / total:.2f}%;width:{share:.2f}%"),
                element("span", class_="bar", style=f"left:{100 * start / total:.2f}%;width:{working:.2f}%"),
                class_="track",
            ),
            class_="bars",
        )
        rows.append((stage.name, number_cell(stage.seconds, duration(stage.seconds), data_name="stage"), bar))
    caption = f"Where the {duration(total)} went; the dark part of a bar is training or evaluation"
    return table(("Stage", "Time", "When"), rows, caption, class_="wide")


def _trials(results: SearchResults) -> Markup:
    source, trials = searched(results.evaluations, results.objective)
    if source == "file" or len(trials) < 2:
        return paragraph("There was no search: every network that was trained became a file.", class_="note")
    values = [trial.metrics[results.objective] for trial in trials]
    best = list(accumulate(values, max))
    axes = Axes((0.5, len(trials) + 0.5), padded(values))
    every = -(-len(trials) // MAX_POINTS)
    points = [
        element("circle", cx=axes.x(index + 1), cy=axes.y(values[index]), r=3, class_="point")
        for index in range(0, len(trials), every)
    ]
    metric = metric_name(results.objective)
    alt = (
        f"{len(trials)} networks in the order they were evaluated. {metric}: the best rises from {best[0]:.4f} "
        f"to {best[-1]:.4f}."
    )
    label = text(axes.width - 14, axes.y(best[-1]) - 7, f"best {best[-1]:.4f}", "note end")
    drawn = chart([axes.frame("Network evaluated", metric), *points, path(_steps(axes, best), "front"), label], alt)
    thinned = f", every {every}th drawn" if every > 1 else ""
    failed = sum(evaluation.failed(results.objective) for evaluation in results.evaluations)
    failures = f" {failed} failed." if failed else ""
    caption = (
        f"{len(trials)} networks ({SOURCE_LABELS[source]}) in their order{thinned}, and the best so far.{failures}"
    )
    return figure(drawn, caption)


def _steps(axes: Axes, best: Sequence[float]) -> list[tuple[float, float]]:
    """The corners of the line of the best so far."""
    corners: list[tuple[float, float]] = []
    for index, value in enumerate(best):
        if index == 0 or value > best[index - 1]:
            if corners:
                corners.append((axes.x(index + 1), corners[-1][1]))
            corners.append((axes.x(index + 1), axes.y(value)))
    return [*corners, (axes.x(len(best)), corners[-1][1])]
