"""The part of the report that says what came out, in a few numbers."""

from __future__ import annotations

from automl_keras.reporting.html.elements import Markup, element, exact, number, number_cell, paragraph, percent, table
from automl_keras.reporting.html.names import cost_heading, score_text
from automl_keras.reporting.results import SearchResults


def overview(results: SearchResults) -> Markup:
    """The measured file in numbers, what is not as it should be, and the budget."""
    report, task = results.report, results.info.task
    cards = [
        (
            task.metric,
            f"{results.score_name.capitalize()} of the file",
            report.score,
            score_text(results, report.score),
        ),
        ("size_kb", "File size", report.size_kb, number(report.size_kb, "kB")),
        ("latency_ms", "Latency, one thread", report.latency_ms, number(report.latency_ms, "ms")),
        ("ram_kb", "Peak activations", report.ram_kb, number(report.ram_kb, "kB")),
        ("agreement", "Agrees with Keras", report.agreement, percent(report.agreement)),
    ]
    shown = [
        element("div", element("dt", label), element("dd", text, data_value=exact(value), data_name=name))
        for name, label, value, text in cards
    ]
    return element(
        "section",
        element("dl", *shown, class_="cards"),
        paragraph(_how(results), class_="note"),
        *(paragraph(warning, class_="warning") for warning in report.warnings),
        _budget(results),
        id="overview",
        aria_label="Overview",
    )


def _how(results: SearchResults) -> str:
    report = results.report
    when = (
        "before the network learnt from all images in the end" if report.refitted else "which the network has not seen"
    )
    return (
        f"Measured on the exported file, run by {report.runtime} on this machine. The {results.score_name} comes from "
        f"validation images, {when}. Weights of these types run from {report.min_runtime} on."
    )


def _budget(results: SearchResults) -> Markup:
    limits = {} if results.budget is None else results.budget.limits()
    if not limits:
        return paragraph("No limit of a device was given.", class_="note")
    rows = []
    for name, limit in limits.items():
        cost = name.removeprefix("max_")
        value = getattr(results.best.cost, cost)
        used = percent(None if value is None else value / limit)
        rows.append((cost_heading(cost), number_cell(limit), number_cell(value), used))
    return table(("Limit of the device", "Limit", "Network", "Used"), rows, "The budget")
