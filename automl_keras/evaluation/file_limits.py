"""`held_against`: a measured file against a budget."""

from __future__ import annotations

from dataclasses import replace

from automl_keras.errors import ExportError
from automl_keras.evaluation.cost import Budget, Cost
from automl_keras.export import TFLiteReport, median_latency


def held_against(report: TFLiteReport, budget: Budget, predicted: Cost) -> tuple[TFLiteReport, Cost]:
    """Refuse a file that breaks a budget, by its latency only if that is so twice.

    Args:
        report: What was measured on the file.
        budget: The limits.
        predicted: The cost, for what is not measured on the file.

    Returns:
        The report, with the lower latency if there were two, and the cost with what was measured.

    Raises:
        ExportError: If the file breaks the budget, or does not run the second time.
    """
    limit = budget.max_latency_ms
    if limit is not None and report.latency_ms > limit:
        # Other programs only ever make it slower: a disturbed moment must not cost a whole training.
        report = replace(report, latency_ms=min(report.latency_ms, median_latency(report.path)))
    cost = replace(predicted, size_kb=report.size_kb, ram_kb=report.ram_kb, latency_ms=report.latency_ms)
    violations = budget.violations(cost)
    if violations:
        raise ExportError(f"The file breaks the budget: {'; '.join(violations)}")
    return report, cost
