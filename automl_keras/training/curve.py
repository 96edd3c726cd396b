"""The curve of a training: its loss and its learning rate, step by step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from automl_keras.errors import ProjectError

CURVES_FILE = "curves.json"
MAX_POINTS = 200


@dataclass(frozen=True)
class CurvePoint:
    """Where a training stood.

    Attributes:
        step: Optimizer steps made.
        epoch: Passes over the data, with fractions.
        seconds: Wall-clock time since the training began, tracing included.
        loss: Mean loss of the steps since the point before.
        learning_rate: Of the last step.
    """

    step: int
    epoch: float
    seconds: float
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class TrainingCurve:
    """How a training went.

    Attributes:
        name: What was trained, such as "final network".
        points: In their order, at most 200.
    """

    name: str
    points: tuple[CurvePoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form: the name, and a list for each attribute of the points; `None` for a loss beyond all
        numbers.
        """
        columns = {field.name: [getattr(point, field.name) for point in self.points] for field in fields(CurvePoint)}
        columns["loss"] = [loss if math.isfinite(loss) else None for loss in columns["loss"]]
        return {"name": self.name, **columns}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingCurve:
        """What `to_dict` gave; a loss that was no number is NaN."""
        names = [field.name for field in fields(CurvePoint)]
        rows = (dict(zip(names, row, strict=True)) for row in zip(*(data[name] for name in names), strict=True))
        points = (CurvePoint(**{**row, "loss": math.nan if row["loss"] is None else row["loss"]}) for row in rows)
        return cls(data["name"], tuple(points))


class CurveRecorder:
    """Keeps the curve of a training in at most 200 points, however long it gets.

    Whenever there would be more, each two neighbours become one point, and from then on a point holds twice as many
    calls of the training loop. A loss is always the mean over all steps of its point.

    Args:
        earlier: The points up to which the training had come when it was interrupted; new ones are counted from there.
    """

    def __init__(self, earlier: Sequence[CurvePoint] = ()) -> None:
        self._points = list(earlier)
        self._offset = earlier[-1] if earlier else CurvePoint(0, 0.0, 0.0, math.nan, 0.0)
        self._calls_per_point = 1
        self._calls_in_last = 1

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """The curve so far."""
        return tuple(self._points)

    def add(self, point: CurvePoint) -> None:
        """Add what came out of one more call of the training loop."""
        point = replace(
            point,
            step=self._offset.step + point.step,
            epoch=self._offset.epoch + point.epoch,
            seconds=self._offset.seconds + point.seconds,
        )
        if self._calls_in_last < self._calls_per_point:
            before = self._points[-2].step if len(self._points) > 1 else 0
            self._points[-1] = _joined(before, self._points[-1], point)
            self._calls_in_last += 1
            return
        if len(self._points) == MAX_POINTS:
            starts = [0, *(second.step for second in self._points[1::2])]
            pairs = zip(starts, self._points[::2], self._points[1::2], strict=False)  # one more start, of the next pair
            self._points = [_joined(*pair) for pair in pairs]
            self._calls_per_point *= 2
        self._points.append(point)
        self._calls_in_last = 1


def _joined(before: int, first: CurvePoint, second: CurvePoint) -> CurvePoint:
    """Two points as one; `before` is the step from which the first one counts."""
    share = (first.step - before) / (second.step - before)
    return replace(second, loss=share * first.loss + (1.0 - share) * second.loss)


def write_curves(directory: Path, curves: Sequence[TrainingCurve]) -> None:
    """Keep the curves of a fit in its folder."""
    unfinished = directory / f"unfinished_{CURVES_FILE}"
    unfinished.write_text(json.dumps([curve.to_dict() for curve in curves]))
    unfinished.replace(directory / CURVES_FILE)


def read_curves(directory: Path) -> tuple[TrainingCurve, ...]:
    """The curves in a folder, none if it holds none.

    Raises:
        ProjectError: If the file is no JSON.
    """
    path = directory / CURVES_FILE
    if not path.is_file():
        return ()
    try:
        return tuple(map(TrainingCurve.from_dict, json.loads(path.read_text())))
    except json.JSONDecodeError as error:
        raise ProjectError(f"The curves of a project must be JSON. Received: {path} ({error})") from error
