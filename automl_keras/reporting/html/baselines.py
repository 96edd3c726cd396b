"""The part of the report that puts other networks beside the exported one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_keras.reporting.html.elements import Markup, number, number_cell, paragraph, section, table
from automl_keras.reporting.html.names import cost_heading, score_text
from automl_keras.reporting.plots import SOURCE_LABELS
from automl_keras.reporting.results import SearchResults
from automl_keras.reporting.trials import baselines

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation

COSTS = ("size_kb", "latency_ms", "macs", "params")


def baselines_section(results: SearchResults) -> Markup:
    """The exported network beside the other files and the networks it was chosen from."""
    shown = baselines(results)
    failed = any(evaluation.error for _, evaluation in shown)
    rows = [_row(name, evaluation, results, failed=failed) for name, evaluation in shown]
    columns = (
        "Network",
        "Numbers from",
        results.score_name.capitalize(),
        *map(cost_heading, COSTS),
        *(["Failed because"] if failed else []),
    )
    return section(
        "baselines",
        "Baselines",
        paragraph("Scores of different sources cannot be compared: shared weights are not trained to the end."),
        table(columns, rows, "The exported network and others of this search", class_="wide"),
    )


def _row(name: str, evaluation: Evaluation, results: SearchResults, *, failed: bool) -> tuple[object, ...]:
    value = evaluation.metrics.get(results.objective)
    costs = [number_cell(cost, number(cost)) for cost in (getattr(evaluation.cost, cost) for cost in COSTS)]
    source = SOURCE_LABELS[evaluation.source]
    reason = [evaluation.error or ""] if failed else []
    return (name, source, number_cell(value, score_text(results, value), data_name=results.objective), *costs, *reason)
