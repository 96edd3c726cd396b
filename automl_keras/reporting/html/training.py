"""The part of the report about trainings: loss and learning rate of the final one, and all in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_keras.reporting.curves import finite_points, main_curve
from automl_keras.reporting.html.charts import Axes, chart, padded, path
from automl_keras.reporting.html.elements import (
    Markup,
    duration,
    figure,
    number_cell,
    pair,
    paragraph,
    section,
    table,
)
from automl_keras.reporting.results import SearchResults

if TYPE_CHECKING:
    from automl_keras.training import CurvePoint, TrainingCurve


def training_section(results: SearchResults) -> Markup:
    """How the trainings of the fit went."""
    if not results.curves:
        missing = paragraph("How the loss fell is not known of this network.", class_="note")
        return section("training", "Training", missing)
    curve = main_curve(results.curves)
    points = finite_points(curve)
    drawn = paragraph("Its loss was never a number.", class_="warning")
    if points:
        drawn = pair(
            _figure(curve, points, "Loss", [point.loss for point in points]),
            _figure(curve, points, "Learning rate", [point.learning_rate for point in points]),
        )
    return section("training", "Training", drawn, _numbers(results.curves))


def _figure(curve: TrainingCurve, points: Sequence[CurvePoint], name: str, values: Sequence[float]) -> Markup:
    axes = Axes((0.0, points[-1].epoch), padded(values))
    line = path([(axes.x(point.epoch), axes.y(value)) for point, value in zip(points, values, strict=True)], "front")
    alt = (
        f"{name} of the {curve.name} over {points[-1].epoch:.1f} epochs: {values[0]:.4g} at first, "
        f"{max(values):.4g} at most, {values[-1]:.4g} in the end."
    )
    return figure(chart([axes.frame("Epoch", name), line], alt), f"{name} of the {curve.name}")


def _numbers(curves: Sequence[TrainingCurve]) -> Markup:
    rows = []
    for curve in curves:
        first, last = curve.points[0], curve.points[-1]
        rows.append(
            (
                curve.name,
                number_cell(last.step, data_name="training-steps"),
                number_cell(last.epoch),
                number_cell(last.seconds, duration(last.seconds)),
                number_cell(first.loss),
                number_cell(last.loss, data_name="training-loss"),
            )
        )
    caption = "All trainings; losses of different ones need not mean the same, a teacher's part may be in them"
    return table(("Training", "Steps", "Epochs", "Time", "First loss", "Last loss"), rows, caption)
