"""What figures and pages show of the curves of trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_keras.training import CurvePoint, TrainingCurve


def main_curve(curves: Sequence[TrainingCurve]) -> TrainingCurve:
    """The final network's, the last one's if several were trained; else the last curve.

    Args:
        curves: In their order, at least one.
    """
    return next((curve for curve in reversed(curves) if curve.name.startswith("final network")), curves[-1])


def finite_points(curve: TrainingCurve) -> list[CurvePoint]:
    """The points whose loss can be drawn."""
    return [point for point in curve.points if math.isfinite(point.loss)]
