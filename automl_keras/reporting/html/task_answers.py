"""The part of the report about answers other than one class for each image: several labels, or values."""

from __future__ import annotations

import numpy as np

from automl_keras.data import Regression
from automl_keras.reporting.diagnostics import ClassScores, label_scores, value_errors
from automl_keras.reporting.html.charts import Axes, chart, line, padded
from automl_keras.reporting.html.elements import (
    Markup,
    element,
    exact,
    join,
    number,
    number_cell,
    paragraph,
    percent,
    section,
    table,
)
from automl_keras.reporting.html.names import score_text
from automl_keras.reporting.html.pictures import gallery, picture
from automl_keras.reporting.results import Answers, SearchResults, target_text

MAX_CHARTS = 8
MAX_POINTS = 1000
NUM_MISTAKES = 24


def task_answers_section(results: SearchResults, predictions: Answers) -> Markup:
    """What the network says about images that were handed to the report."""
    score = results.info.task.score(results.info.task.outputs_of(predictions.answers), predictions.codes)
    said = paragraph(
        element("strong", score_text(results, score), data_name="answers-score", data_value=exact(score)),
        f" is the {results.score_name} of the Keras model on the {number(len(predictions.codes))} images given to this "
        "report. It says something about new images only if the fit has not seen them.",
    )
    describe = _values if isinstance(results.info.task, Regression) else _labels
    return section(
        "answers",
        "Answers",
        said,
        *describe(results, predictions),
        element("h3", "Worst mistakes"),
        _mistakes(results, predictions),
    )


def score_row(name: str, scores: ClassScores) -> tuple[str | Markup, ...]:
    """How well one class or label is recognised, as cells of a table."""
    return (
        name,
        number_cell(scores.precision, percent(scores.precision), data_name="precision"),
        number_cell(scores.recall, percent(scores.recall), data_name="recall"),
        number_cell(scores.f1, percent(scores.f1), data_name="f1"),
        number_cell(scores.support, data_name="support"),
    )


def _labels(results: SearchResults, predictions: Answers) -> list[Markup]:
    rows = [
        score_row(name, scores)
        for name, scores in zip(
            results.classes, label_scores(predictions.codes > 0.5, predictions.answers > 0.5), strict=True
        )
    ]
    caption = "Each label by itself, answered where its probability is more than 0.5; a dash where nothing is to divide"
    return [
        element("h3", "Single labels"),
        table(("Label", "Precision", "Recall", "F1", "Images"), rows, caption),
    ]


def _values(results: SearchResults, predictions: Answers) -> list[Markup]:
    task = results.info.task
    assert isinstance(task, Regression)
    true = task.values(predictions.codes)
    found = value_errors(true, predictions.answers)
    rows = [
        (
            number_cell(place),
            number_cell(each.r2_score, data_name="r2"),
            number_cell(each.mean_absolute, data_name="mae"),
            number_cell(each.root_mean_square, data_name="rmse"),
            number_cell(each.mean, data_name="bias"),
        )
        for place, each in enumerate(found)
    ]
    columns = ("Value", "R²", "Mean absolute error", "Root mean square error", "Mean error")
    caption = "In the units of y; an error is the answer less what is true"
    charts = [_against(place, true[:, place], predictions.answers[:, place]) for place in range(len(rows))[:MAX_CHARTS]]
    return [table(columns, rows, caption), element("h3", "Answers against what is true"), *charts]


def _against(place: int, true: np.ndarray, answers: np.ndarray) -> Markup:
    shown = np.linspace(0, len(true) - 1, min(len(true), MAX_POINTS)).astype(int)
    pairs = list(zip(true[shown].tolist(), answers[shown].tolist(), strict=True))
    limits = padded(value for pair in pairs for value in pair)
    axes = Axes(limits, limits, height=380)
    dots = [element("circle", cx=axes.x(x), cy=axes.y(y), r=2.5, class_="point") for x, y in pairs]
    diagonal = line(axes.x(limits[0]), axes.y(limits[0]), axes.x(limits[1]), axes.y(limits[1]), "diagonal")
    alt = f"Answers against true values, value {place}"
    caption = element("figcaption", f"Value {place}: {len(pairs)} images. Right answers lie on the dashed line.")
    drawn = chart([axes.frame("True", "Answer"), diagonal, *dots], alt, height=380)
    return element("figure", element("div", drawn, class_="scroll"), caption)


def _mistakes(results: SearchResults, predictions: Answers) -> Markup:
    losses = results.info.task.answer_losses(predictions.answers, predictions.codes)
    places = np.argsort(-losses, kind="stable")[:NUM_MISTAKES]
    items: list[tuple[Markup, object]] = []
    for image, place in zip(predictions.images[places], places.tolist(), strict=True):
        true = target_text(results.info, predictions.codes[place])
        answer = target_text(results.info, results.info.task.outputs_of(predictions.answers[place]))
        words = join([answer, element("br"), f"is {true}"])
        items.append((picture(image, results.info.pixel_range, f"Image {place}: answer {answer}, is {true}"), words))
    return element("div", paragraph("The images with the largest loss: the answer, and what is true."), gallery(items))
