"""Measured files against a budget: `held_against` refuses, `warned_of_budget` says so in the report."""

from __future__ import annotations

import logging
from dataclasses import replace

from automl_keras.errors import ExportError
from automl_keras.evaluation.cost import Budget, Cost
from automl_keras.export import TFLiteReport, median_latency

logger = logging.getLogger(__name__)


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


def warned_of_budget(report: TFLiteReport, budget: Budget | None) -> TFLiteReport:
    """The report, with a warning if the file breaks a budget: what an app needs in front of a network comes on top."""
    cost = Cost(size_kb=report.size_kb, ram_kb=report.ram_kb, latency_ms=report.latency_ms)
    violations = [] if budget is None else budget.violations(cost)
    if not violations:
        return report
    warning = f"With this input the file breaks the budget: {'; '.join(violations)}."
    logger.warning("%s", warning)
    return replace(report, warnings=(*report.warnings, warning))
