"""The part of the report that compares networks by accuracy, size and speed; the page's script draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from automl_keras.reporting.html.elements import (
    Markup,
    element,
    number,
    number_cell,
    paragraph,
    section,
    table,
)
from automl_keras.reporting.html.names import cost_heading, metric_name, score_text
from automl_keras.reporting.plots import COST_LABELS, SOURCE_LABELS, pareto_front
from automl_keras.reporting.results import SearchResults
from automl_keras.reporting.trials import searched

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation

MAX_SHOWN = 500


def shown_evaluations(results: SearchResults) -> list[Evaluation]:
    """The leaderboard; of more than 500 networks the best ones, and those of the fronts."""
    ranked = results.leaderboard()
    _, candidates = searched(ranked, results.objective)
    fronts = [pareto_front(candidates, results.objective, cost) for cost in known_costs(candidates)]
    on_front = {id(evaluation) for front in fronts for evaluation in front}
    first = sorted(range(len(ranked)), key=lambda place: id(ranked[place]) not in on_front)[:MAX_SHOWN]
    return [ranked[place] for place in sorted(first)]


def known_costs(evaluations: Sequence[Evaluation]) -> list[str]:
    """The costs that at least one evaluation has."""
    return [name for name in COST_LABELS if any(getattr(each.cost, name) is not None for each in evaluations)]


def front_data(results: SearchResults) -> dict[str, Any]:
    """What the script needs besides the evaluations: names, units, and the front for every cost.

    A front is a list of places in `shown_evaluations`, by growing cost. It is that of one source, as in
    `plot_evaluations`: scores of different sources are not comparable.
    """
    shown = shown_evaluations(results)
    source, candidates = searched(shown, results.objective)
    places = {id(evaluation): place for place, evaluation in enumerate(shown)}
    costs = known_costs(shown)
    return {
        "costs": {name: COST_LABELS[name] for name in costs},
        "sources": SOURCE_LABELS,
        "source": source,
        "fronts": {
            cost: [places[id(each)] for each in pareto_front(candidates, results.objective, cost)] for cost in costs
        },
    }


def front_section(results: SearchResults) -> Markup:
    """The chart, which the script fills, and the same numbers as a table."""
    shown = shown_evaluations(results)
    costs = known_costs(shown)
    chart = element(
        "div",
        element(
            "p",
            _choice("front-x", "Across", costs, "size_kb"),
            _choice("front-y", "Upwards", [results.objective, *costs], results.objective),
            class_="choices",
        ),
        element("div", id="front-chart"),
        element("p", id="front-legend", class_="legend"),
        element("div", paragraph("Point at a network, or use the arrow keys."), id="front-details", aria_live="polite"),
        element("noscript", paragraph("The chart needs JavaScript; the table below has the same numbers.")),
    )
    more = len(results.evaluations) - len(shown)
    left_out = (
        [paragraph(f"{more} networks, not the best and not of a front, are left out.", class_="note")] if more else []
    )
    details = element(
        "details", element("summary", f"The {len(shown)} networks as a table"), _table(shown, costs, results)
    )
    return section("front", f"{results.score_name.capitalize()}, size and speed", chart, *left_out, details)


def _choice(identifier: str, label: str, names: Sequence[str], chosen: str) -> Markup:
    options = [
        element("option", metric_name(name), value=name, selected="selected" if name == chosen else None)
        for name in names
    ]
    return element("label", f"{label} ", element("select", *options, id=identifier))


def _table(shown: Sequence[Evaluation], costs: Sequence[str], results: SearchResults) -> Markup:
    failed = any(evaluation.error for evaluation in shown)
    rows = []
    for rank, evaluation in enumerate(shown, start=1):
        value = evaluation.metrics.get(results.objective)
        numbers = [number_cell(cost, number(cost)) for cost in (getattr(evaluation.cost, name) for name in costs)]
        reason = [evaluation.error or ""] if failed else []
        rows.append(
            (rank, SOURCE_LABELS[evaluation.source], number_cell(value, score_text(results, value)), *numbers, *reason)
        )
    columns = (
        "Rank",
        "Numbers from",
        results.score_name.capitalize(),
        *map(cost_heading, costs),
        *(["Failed because"] if failed else []),
    )
    return table(columns, rows, "Evaluated networks, the exported file first", class_="wide")
