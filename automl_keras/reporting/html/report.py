"""`write_report`: all about a fit on one page."""

from __future__ import annotations

import json
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from automl_keras.data import Classification
from automl_keras.reporting.diagnostics import calibration, confusion_matrix
from automl_keras.reporting.file_layers import read_layers
from automl_keras.reporting.html.answers import answers_section
from automl_keras.reporting.html.baselines import baselines_section
from automl_keras.reporting.html.data import data_section
from automl_keras.reporting.html.elements import Markup, element, finite, number
from automl_keras.reporting.html.front import front_data, front_section, shown_evaluations
from automl_keras.reporting.html.network import network_section
from automl_keras.reporting.html.overview import overview
from automl_keras.reporting.html.repeat import repeat_section
from automl_keras.reporting.html.timeline import timeline_section
from automl_keras.reporting.html.training import training_section
from automl_keras.reporting.results import Answers, Predictions, SampleImages, SearchResults, versions
from automl_keras.reporting.whole_files import write_whole

# Nothing is loaded from anywhere: a browser refuses what this does not name.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
CONTENTS = (
    ("data", "Data"),
    ("search", "Search"),
    ("training", "Training"),
    ("front", "{}, size and speed"),
    ("baselines", "Baselines"),
    ("network", "Network"),
    ("bits", "Bits per layer"),
    ("answers", "Answers"),
    ("repeat", "Repeat it"),
)


def write_report(
    results: SearchResults,
    path: str | Path,
    predictions: Predictions | Answers | None = None,
    samples: SampleImages | None = None,
) -> None:
    """Write one HTML file that opens without a network and holds everything it shows.

    Args:
        results: What the fit found.
        path: The file; it appears there whole or not at all.
        predictions: For confusion, scores of classes, calibration and mistakes, which are left out without it.
        samples: Images to show, if there are no predictions.

    Raises:
        OSError: If the file cannot be written, or that of the network not be read.
    """
    write_whole(path, page(results, predictions, samples))


def page(results: SearchResults, predictions: Predictions | Answers | None, samples: SampleImages | None) -> str:
    """The report as HTML; see `write_report`."""
    layers = read_layers(results.file)
    if predictions is not None:
        samples = SampleImages(predictions.images, predictions.codes)
    sections = [
        overview(results),
        data_section(results, samples),
        timeline_section(results),
        training_section(results),
        front_section(results),
        baselines_section(results),
        network_section(layers),
        answers_section(results, predictions),
        repeat_section(results),
    ]
    links = [
        element("li", element("a", title.format(results.score_name.capitalize()), href=f"#{identifier}"))
        for identifier, title in CONTENTS
    ]
    body = element(
        "body",
        element("a", "To the content", href="#content", class_="skip-link"),
        element("header", element("h1", results.title), element("p", _subtitle(results))),
        element("nav", element("ul", *links), aria_label="Contents"),
        element("main", *sections, id="content"),
        element("footer", f"Written on {datetime.now():%Y-%m-%d %H:%M} by automl-keras."),
        element("script", Markup(_json(embedded(results, predictions))), type="application/json", id="report-data"),
        element("script", Markup(_part("report.js"))),
    )
    return f"<!DOCTYPE html>\n{element('html', _head(results.title), body, lang='en')}\n"


def embedded(results: SearchResults, predictions: Predictions | Answers | None) -> dict[str, Any]:
    """All numbers of the page, for its script and for other programs."""
    shown = shown_evaluations(results)
    data: dict[str, Any] = {
        "objective": results.objective,
        "best": results.best.to_dict(),
        "exported": shown.index(results.best) if results.best in shown else None,
        "evaluations": [evaluation.to_dict() for evaluation in shown],
        "num_evaluations": len(results.evaluations),
        "front": front_data(results),
        "limits": {} if results.budget is None else results.budget.limits(),
        "report": results.report.to_dict(),
        "info": results.info.to_dict(),
        "stages": [stage.to_dict() for stage in results.stages],
        "curves": [curve.to_dict() for curve in results.curves],
        "plan": results.plan,
        "seed": results.seed,
        "versions": versions(),
    }
    if isinstance(predictions, Answers):
        data["answers"] = results.info.task.metrics(
            results.info.task.outputs_of(predictions.answers), predictions.codes
        )
    elif predictions is not None:
        confusion = confusion_matrix(predictions.codes, predictions.predicted, len(results.classes))
        true, answer = confusion.nonzero()
        data["answers"] = {
            "accuracy": predictions.accuracy,
            "confusion": [
                [*cell, int(confusion[tuple(cell)])] for cell in zip(true.tolist(), answer.tolist(), strict=True)
            ],
            "calibration_error": calibration(predictions.codes, predictions.probabilities).error,
        }
    return data


def _json(data: dict[str, Any]) -> str:
    """JSON that no label can end: "<" is written so that a browser sees no tag."""
    return json.dumps(finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _subtitle(results: SearchResults) -> str:
    evaluated = f"{number(len(results.evaluations))} networks were evaluated."
    if not isinstance(results.info.task, Classification):
        return f"Images {results.info.described}. {evaluated}"
    names = results.classes
    listed = ", ".join(names[:6]) + (" and others" if len(names) > 6 else "")
    return f"{number(len(names))} classes: {listed}. {evaluated}"


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{title}: report"),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(_part("report.css"))),
    )


def _part(name: str) -> str:
    """A file of this folder."""
    return resources.files("automl_keras.reporting.html").joinpath(name).read_text(encoding="utf-8")
