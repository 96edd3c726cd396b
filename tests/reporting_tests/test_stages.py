import io

import pytest

from automl_keras.evaluation import Evaluation
from automl_keras.reporting import LineReporter, Stage, TimedReporter, stages_text
from automl_keras.search_space import Architecture
from tests.clock import Clock


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def reporter(clock: Clock, out: io.StringIO) -> TimedReporter:
    return TimedReporter(LineReporter(out, clock=clock), "prepare", clock, start=clock.now - 2)


def test_stages_add_up_and_training_counts_from_its_first_call_on(reporter: TimedReporter, clock: Clock) -> None:
    clock.now += 1
    reporter.stage("train", 10)
    clock.now += 3  # traces
    reporter.advance(0.1)
    for fraction in (0.5, 1.0):
        clock.now += 4
        reporter.advance(fraction)
    clock.now += 0.5
    reporter.stage("measure")
    with reporter.evaluating():
        clock.now += 2
    clock.now += 1
    assert reporter.stages == (Stage("prepare", 3.0, 0.0), Stage("train", 11.5, 8.0), Stage("measure", 3.0, 2.0))


def test_what_lies_between_two_trainings_is_no_training(reporter: TimedReporter, clock: Clock) -> None:
    reporter.stage("train")
    for fraction in (0.2, 1.0, 0.2, 1.0):
        clock.now += 5
        reporter.advance(fraction)
    assert reporter.stages[-1] == Stage("train", 20.0, 10.0)
    reporter.stage("train")
    clock.now += 5
    reporter.advance(1.0)
    assert reporter.stages[-1] == Stage("train", 5.0, 0.0)


def test_trials_and_failed_evaluations_count(reporter: TimedReporter, clock: Clock) -> None:
    reporter.stage("search")
    clock.now += 4
    reporter.trial(1, Evaluation(Architecture({}), {"val_accuracy": 0.5}, seconds=1.5), "val_accuracy")
    with pytest.raises(KeyboardInterrupt), reporter.evaluating():
        clock.now += 1
        raise KeyboardInterrupt
    assert reporter.stages[-1] == Stage("search", 5.0, 2.5)


def test_everything_is_passed_on(reporter: TimedReporter, clock: Clock, out: io.StringIO) -> None:
    with reporter:
        reporter.start("Looking.", 60)
        reporter.stage("train", 10)
        reporter.advance(0.5)
        reporter.trial(1, Evaluation(Architecture({}), {"val_accuracy": 0.5}), "val_accuracy")
        reporter.result(0.9, 20.0)
        reporter.message("Words.")
    assert out.getvalue().splitlines() == [
        "Looking.",
        "[0:00] train (planned: 10 s)",
        "[0:00] Best file: accuracy 0.9000, 20.0 kB",
        "[0:00] Words.",
        "[0:00] train: ended after 0.0 s; 1 trial, best val_accuracy 0.5000 (standalone)",
    ]


def test_the_line_names_what_was_lost_where() -> None:
    stages = [Stage("prepare", 1.0, 0.0), Stage("train", 10.0, 9.0), Stage("train", 5.0, 4.5), Stage("idle", 4.0, 4.0)]
    assert stages_text(stages) == ("12% of 20.0 s were neither training nor evaluation: prepare 1.0 s, train 1.5 s.")
    assert stages_text([Stage("train", 1.0, 1.0)]) == "0% of 1.0 s were neither training nor evaluation."
    assert Stage(**stages[1].to_dict()) == stages[1]
