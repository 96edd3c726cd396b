"""The part of the report about answers: accuracy, confusion, single classes, calibration and mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_keras.reporting.diagnostics import (
    Calibration,
    calibration,
    class_scores,
    confusion_matrix,
    worst_mistakes,
)
from automl_keras.reporting.figures import short
from automl_keras.reporting.html.charts import Axes, chart, line
from automl_keras.reporting.html.elements import (
    Markup,
    element,
    exact,
    join,
    number,
    number_cell,
    pair,
    paragraph,
    percent,
    scrolling,
    section,
    table,
)
from automl_keras.reporting.html.pictures import gallery, picture
from automl_keras.reporting.html.task_answers import score_row, task_answers_section
from automl_keras.reporting.results import Answers, Predictions, SearchResults

MAX_MATRIX_CLASSES = 30  # more cannot be read
MAX_HEADING = 5  # letters that fit above a column; longer names are turned
LONGEST_HEADING = 40  # letters, beyond which turned names would cover each other
NUM_PAIRS = 20
NUM_MISTAKES = 24
WITHOUT = (
    "Left out: confusion matrix, scores of single classes, calibration and mistakes. They need images with labels: "
    "report(path, x, y)."
)


def answers_section(results: SearchResults, predictions: Predictions | Answers | None) -> Markup:
    """What the network says about images that were handed to the report."""
    if predictions is None:
        return section("answers", "Answers", paragraph(WITHOUT, class_="note"))
    if isinstance(predictions, Answers):
        return task_answers_section(results, predictions)
    classes = results.classes
    confusion = confusion_matrix(predictions.codes, predictions.predicted, len(classes))
    right = int(np.trace(confusion))
    said = paragraph(
        element(
            "strong",
            percent(predictions.accuracy),
            data_name="answers-accuracy",
            data_value=exact(predictions.accuracy),
        ),
        f" of the {number(len(predictions.codes))} images given to this report are answered right by the Keras model "
        f"({number(right)}). They say something about new images only if the fit has not seen them.",
    )
    return section(
        "answers",
        "Answers",
        said,
        element("h3", "Confusion"),
        _matrix(confusion, classes) if len(classes) <= MAX_MATRIX_CLASSES else _pairs(confusion, classes),
        pair(
            join([element("h3", "Single classes"), _scores(confusion, classes)]),
            join(
                [element("h3", "Calibration"), _calibration(calibration(predictions.codes, predictions.probabilities))]
            ),
        ),
        element("h3", "Worst mistakes"),
        _mistakes(results, predictions),
    )


def _matrix(confusion: np.ndarray, classes: Sequence[str]) -> Markup:
    rows = []
    for name, counts in zip(classes, confusion.tolist(), strict=True):
        cells = [_matrix_cell(count, sum(counts), name == other) for count, other in zip(counts, classes, strict=True)]
        rows.append((short(name, LONGEST_HEADING), *cells))
    headings = [short(name, LONGEST_HEADING) for name in classes]  # whole ones are in the table of single classes
    is_tall = max(map(len, headings)) > MAX_HEADING
    caption = (
        "Images of each class (rows) by answer (columns); the stronger the colour, the larger the share of the row"
    )
    return table(("True \\ answer", *headings), rows, caption, class_="matrix tall" if is_tall else "matrix")


def _matrix_cell(count: int, of_all: int, is_right: bool) -> Markup:
    share = count / of_all if of_all else 0.0
    style = f"--share:{share:.3f}" if count else None
    return element("td", count or "·", class_="hit" if is_right else "miss", style=style, data_value=count)


def _pairs(confusion: np.ndarray, classes: Sequence[str]) -> Markup:
    wrong = confusion * (1 - np.eye(len(classes), dtype=confusion.dtype))
    places = np.argsort(-wrong, axis=None, kind="stable")[:NUM_PAIRS]
    pairs = [(place // len(classes), place % len(classes)) for place in places.tolist()]
    rows = [
        (classes[true], classes[answer], number_cell(int(wrong[true, answer])))
        for true, answer in pairs
        if wrong[true, answer]
    ]
    return table(("Class", "Taken for", "Images"), rows, "The classes that are confused most often")


def _scores(confusion: np.ndarray, classes: Sequence[str]) -> Markup:
    rows = [score_row(name, scores) for name, scores in zip(classes, class_scores(confusion), strict=True)]
    columns = ("Class", "Precision", "Recall", "F1", "Images")
    return table(columns, rows, "Precision, recall and F1 of each class; a dash where there is nothing to divide by")


def _calibration(found: Calibration) -> Markup:
    axes = Axes((0.0, 1.0), (0.0, 1.0), height=340)
    parts = [axes.frame("Confidence", "Share of right answers")]
    for low, high, count, confidence, accuracy in zip(
        found.edges, found.edges[1:], found.counts, found.confidences, found.accuracies, strict=False
    ):
        if count:
            hint = f"Confidence {low:.2f} to {high:.2f}: {count} images, {accuracy:.1%} right, mean {confidence:.1%}"
            parts.append(_bin(axes, low, high, accuracy, confidence, hint))
    parts.append(line(axes.x(0), axes.y(0), axes.x(1), axes.y(1), "diagonal"))
    error = f"Expected calibration error {found.error:.4f}"
    caption = element(
        "figcaption",
        element("span", error, data_name="calibration-error", data_value=exact(found.error)),
        f" in {len(found.counts)} bins (Guo et al., 2017). Bars: how many answers of a confidence are right; ticks: "
        "the mean confidence. On the dashed line probabilities can be taken at their word.",
    )
    return element("figure", scrolling(chart(parts, error, height=340), error), caption)


def _bin(axes: Axes, low: float, high: float, accuracy: float, confidence: float, hint: str) -> Markup:
    left, right, top = axes.x(low), axes.x(high), axes.y(accuracy)
    height = round(axes.y(0) - top, 2)
    bar = element("rect", x=left + 1, y=top, width=round(right - left - 2, 2), height=height, class_="column")
    tick = line(left + 1, axes.y(confidence), right - 1, axes.y(confidence), "front")
    return element("g", element("title", hint), bar, tick)


def _mistakes(results: SearchResults, predictions: Predictions) -> Markup:
    places = worst_mistakes(predictions.codes, predictions.probabilities, NUM_MISTAKES)
    if len(places) == 0:
        return paragraph("There are none.")
    classes, predicted = results.classes, predictions.predicted
    items: list[tuple[Markup, object]] = []
    for image, place in zip(predictions.images[places], places.tolist(), strict=True):
        true, answer = classes[predictions.codes[place]], classes[predicted[place]]
        sure = percent(float(predictions.probabilities[place, predicted[place]]))
        words = join([f"{answer} ({sure})", element("br"), f"is {true}"])
        alt = f"Image {place} of class {true}, taken for {answer}"
        items.append((picture(image, results.info.pixel_range, alt), words))
    said = "Wrong answers that the network was surest of: the answer with its probability, and what the image is."
    return element("div", paragraph(said), gallery(items))
