import math
from pathlib import Path

import numpy as np
import pytest

from automl_keras.errors import ProjectError
from automl_keras.training import (
    CurvePoint,
    CurveRecorder,
    Limit,
    TrainingCurve,
    TrainingLoop,
    one_cycle,
    peak_learning_rate,
    read_curves,
    recipe_space,
    write_curves,
)

RNG = np.random.default_rng(0)


def loss_sum(points: tuple[CurvePoint, ...]) -> float:
    """Over all steps."""
    steps = np.diff([0, *(point.step for point in points)])
    return float(np.dot(steps, [point.loss for point in points]))


@pytest.mark.parametrize("calls", [1, 200, 201, 333, 5000])
def test_a_curve_of_any_length_has_few_points_and_the_right_means(calls: int) -> None:
    ends = np.cumsum(RNG.integers(1, 17, calls))
    given = tuple(
        CurvePoint(int(step), step / 10, step / 100, loss, 0.5)
        for step, loss in zip(ends, RNG.normal(2.0, 1.0, calls), strict=True)
    )
    recorder = CurveRecorder()
    for point in given:
        recorder.add(point)
    points = recorder.points
    assert min(calls, 100) <= len(points) <= 200
    assert [point.step for point in points] == sorted({point.step for point in points})
    known = {(point.step, point.epoch, point.seconds) for point in given}
    assert {(point.step, point.epoch, point.seconds) for point in points} <= known
    assert points[-1].step == given[-1].step
    assert loss_sum(points) == pytest.approx(loss_sum(given))
    counts = np.diff([0, *(int(np.searchsorted(ends, point.step)) + 1 for point in points)])
    assert len(set(counts[:-1])) <= 1 and counts[-1] <= counts[0]  # each point of as many calls, but the last


def test_a_training_that_goes_on_is_counted_from_where_it_was() -> None:
    earlier = (CurvePoint(8, 2.0, 1.5, 0.9, 0.1), CurvePoint(12, 3.0, 2.0, 0.8, 0.1))
    recorder = CurveRecorder(earlier)
    recorder.add(CurvePoint(4, 1.0, 0.5, 0.7, 0.05))
    assert recorder.points == (*earlier, CurvePoint(16, 4.0, 2.5, 0.7, 0.05))


def test_curves_are_kept_in_a_folder(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == ()
    points = CurvePoint(1, 0.5, 0.1, 2.25, 0.01), CurvePoint(2, 1.0, 0.2, math.inf, 0.02)
    curves = TrainingCurve("first", points[:1]), TrainingCurve("second", points), TrainingCurve("none", ())
    write_curves(tmp_path, curves)
    assert "Infinity" not in (tmp_path / "curves.json").read_text()  # which is no JSON
    first, second, none = read_curves(tmp_path)
    assert (first, none) == (curves[0], curves[2])
    assert second.points[0] == points[0] and math.isnan(second.points[1].loss)
    (tmp_path / "curves.json").write_text('[{"name"')
    with pytest.raises(ProjectError, match=r"must be JSON.*curves\.json"):
        read_curves(tmp_path)


def test_the_loop_records_what_each_call_did() -> None:
    made: list[int] = []

    def run_steps(*arguments: object) -> float:
        made.append(len(arguments[-1]))
        return 100.0 - sum(made)

    recipe = recipe_space().default()
    images, codes = np.zeros((40, 4, 4, 1), np.uint8), np.zeros(40, np.int32)
    log = TrainingLoop(recipe, run_steps, batch_size=8, seed=0).run(images, codes, Limit(steps=23))
    ends = np.cumsum(made).tolist()
    assert [point.step for point in log.curve] == ends and ends[-1] == 23
    assert [point.epoch for point in log.curve] == [step / 5 for step in ends]
    assert [point.loss for point in log.curve] == [100.0 - step for step in ends]
    peak = peak_learning_rate(recipe)
    assert [point.learning_rate for point in log.curve] == [peak * one_cycle((step - 0.5) / 23) for step in ends]
    seconds = [point.seconds for point in log.curve]
    assert seconds == sorted(seconds) and 0.0 < seconds[-1] <= log.seconds
