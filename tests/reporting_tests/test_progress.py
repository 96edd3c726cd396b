import io
import sys
import time

import pytest
from rich.console import Console

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.reporting import LineReporter, LiveReporter, NullReporter, make_reporter
from automl_keras.search_space import Architecture

SHOW_CURSOR = "\x1b[?25h"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def evaluation(accuracy=0.5, size_kb=100.0, **more):
    return Evaluation(Architecture({}), {"val_accuracy": accuracy}, Cost(size_kb=size_kb), "shared_weights", **more)


def failure(error="ExportError: no\n  luck"):
    return Evaluation(Architecture({}), error=error)


def use_terminal(monkeypatch):
    """Makes the standard output a terminal, whatever the environment says."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    return sys.stdout


def tell_everything(reporter, clock):
    reporter.start("Looking for 300 s.", 300)
    reporter.message("The plan.")
    clock.now += 4
    reporter.stage("Training", 73.4)
    reporter.advance(0.5)
    clock.now += 73
    reporter.result(0.86123, 28.44)
    reporter.stage("Searching")
    for count in range(1, 131):
        clock.now += 0.1
        reporter.trial(count, failure() if count == 7 else evaluation(0.5 + count / 1000), "val_accuracy")
    reporter.close()
    reporter.close()


def test_lines_tell_of_stages_results_and_now_and_then_of_trials(clock):
    out = io.StringIO()
    tell_everything(LineReporter(out, clock=clock), clock)
    assert out.getvalue().splitlines() == [
        "Looking for 300 s.",
        "[0:00] The plan.",
        "[0:04] Training (planned: 73 s)",
        "[1:17] Best file: accuracy 0.8612, 28.4 kB",
        "[1:17] Training: ended after 73 s",
        "[1:17] Searching",
        "[1:22] 51 trials (1 failed), best val_accuracy 0.5510 at 100.0 kB (shared weights)",
        "[1:27] 102 trials (1 failed), best val_accuracy 0.6020 at 100.0 kB (shared weights)",
        "[1:29] Searching: ended after 13 s; "
        "130 trials (1 failed), best val_accuracy 0.6300 at 100.0 kB (shared weights)",
    ]
    assert out.getvalue().isascii()


def test_each_trial_has_its_line_if_wanted(clock):
    out = io.StringIO()
    reporter = LineReporter(out, each_trial=True, clock=clock)
    reporter.trial(1, evaluation(0.91234, 143.21, seconds=0.25), "val_accuracy")
    clock.now += 3700
    reporter.trial(2, failure(), "val_accuracy")
    reporter.trial(3, evaluation(float("nan")), "val_accuracy")
    reporter.trial(4, evaluation(0.5, None, seconds=123.0), "val_accuracy")
    reporter.trial(5, failure("x" * 150 + " " + "y" * 150), "val_accuracy")
    reporter.close()
    assert out.getvalue().splitlines() == [
        "[0:00] Trial 1: val_accuracy 0.9123 at 143.2 kB (shared weights), took 0.2 s",
        "[1:01:40] Trial 2: failed: ExportError: no luck",
        "[1:01:40] Trial 3: failed: no finite val_accuracy",
        "[1:01:40] Trial 4: val_accuracy 0.5000 (shared weights), took 2:03",
        "[1:01:40] Trial 5: failed: " + "x" * 150 + " ...",
    ]


def test_the_best_trial_is_the_largest_that_did_not_fail(clock):
    out = io.StringIO()
    with LineReporter(out, clock=clock) as reporter:
        reporter.stage("Searching")
        reporter.trial(1, evaluation(0.9, error="too large"), "val_accuracy")
        reporter.trial(2, evaluation(0.8), "val_accuracy")
        reporter.trial(3, evaluation(0.7), "val_accuracy")
    assert "3 trials (1 failed), best val_accuracy 0.8000 at" in out.getvalue()


def test_a_stage_without_trials_tells_of_none(clock):
    out = io.StringIO()
    with LineReporter(out, clock=clock) as reporter:
        reporter.stage("Searching")
        reporter.trial(1, failure(), "val_accuracy")
        reporter.stage("Exporting")
        clock.now += 2.5
    assert "Searching: ended after 0.0 s; 1 trial (1 failed)\n" in out.getvalue()
    assert out.getvalue().endswith("] Exporting: ended after 2.5 s\n")


def test_leaving_by_an_error_ends_the_stage_and_lets_it_through(clock):
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), LineReporter(out, clock=clock) as reporter:
        reporter.stage("Training")
        raise KeyboardInterrupt
    assert out.getvalue().endswith("Training: ended after 0.0 s\n")


def test_a_new_start_forgets_the_fit_before(clock):
    out = io.StringIO()
    reporter = LineReporter(out, clock=clock)
    tell_everything(reporter, clock)
    reporter.start("Again.", None)
    with reporter:
        reporter.stage("Searching")
        reporter.trial(1, evaluation(0.1), "val_accuracy")
    assert out.getvalue().splitlines()[-3:] == [
        "Again.",
        "[0:00] Searching",
        "[0:00] Searching: ended after 0.0 s; 1 trial, best val_accuracy 0.1000 at 100.0 kB (shared weights)",
    ]


def live(clock, width=100):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    return LiveReporter(console, clock), out


def wait_for(out, text):
    deadline = time.monotonic() + 20  # drawn by a thread, on a machine that may be busy
    while text not in out.getvalue():
        assert time.monotonic() < deadline, f"{text!r} not in {out.getvalue()!r}"
        time.sleep(0.02)


def test_the_display_shows_stage_bar_clock_trials_and_best_file(clock):
    reporter, out = live(clock)
    with reporter:
        reporter.start("Looking.", 300)
        wait_for(out, "Starting        5:00 left")
        clock.now += 10
        reporter.stage("Searching")
        reporter.trial(12, evaluation(0.9), "val_accuracy")
        reporter.result(0.95, 120.0)
        for fraction, text in ((0.5, " 50%"), (2.0, "100%"), (-1.0, "  0%")):
            reporter.advance(fraction)
            wait_for(out, f"Searching  {text}  4:50 left")
        wait_for(out, "12 trials, best val_accuracy 0.9000 at 100.0 kB (shared weights)")
        wait_for(out, "Best file: accuracy 0.9500, 120.0 kB")
        assert "━" in out.getvalue()
        clock.now += 1000
        wait_for(out, "0:00 left")


def test_the_bar_follows_the_planned_time_until_told(clock):
    reporter, out = live(clock)
    with reporter:
        reporter.start("Looking.", None)
        reporter.stage("Training", 40)
        clock.now += 10
        wait_for(out, "Training   25%  0:10 elapsed")
        clock.now += 60
        wait_for(out, "Training  100%  1:10 elapsed")
        reporter.advance(0.75)
        wait_for(out, "Training   75%")


def test_lines_that_stay_are_written_above_the_display(clock):
    reporter, out = live(clock)
    tell_everything(reporter, clock)
    for line in (
        "Looking for 300 s.",
        "[0:00] The plan.",
        "[1:17] Best file: accuracy 0.8612, 28.4 kB",
        "[1:17] Training: ended after 73 s",
        "[1:29] Searching: ended after 13 s; 130 trials (1 failed), best val_accuracy 0.6300 at 100.0 kB",
    ):
        assert line in out.getvalue()


def test_square_brackets_are_no_markup_and_long_lines_are_whole(clock):
    reporter, out = live(clock, width=30)
    reporter.message("[bold]" + 60 * "x")
    assert out.getvalue() == "[0:00] [bold]" + 60 * "x" + "\n"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_the_terminal_is_restored(monkeypatch, error):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stderr", Terminal())
    stderr = sys.stderr
    reporter = make_reporter("auto")
    assert isinstance(reporter, LiveReporter)
    try:
        with reporter:
            reporter.start("Looking.", 10)
            reporter.stage("Training")
            print("from a callback")
            assert sys.stdout is not terminal
            assert SHOW_CURSOR not in terminal.getvalue()
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    assert sys.stdout is terminal
    assert sys.stderr is stderr
    assert "from a callback\n" in terminal.getvalue()
    assert terminal.getvalue().count(SHOW_CURSOR) == 1
    length = len(terminal.getvalue())
    reporter.close()
    assert len(terminal.getvalue()) == length


def test_standard_error_that_goes_to_a_file_stays_there(monkeypatch):
    terminal, log = use_terminal(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with make_reporter(1) as reporter:
        reporter.start("Looking.", 10)
        print("a warning", file=sys.stderr)
    assert "Looking." in terminal.getvalue()
    assert log.getvalue() == "a warning\n"
    assert "a warning" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("verbose", "on_terminal", "elsewhere"),
    [
        ("auto", LiveReporter, LineReporter),
        (1, LiveReporter, LineReporter),
        (True, LiveReporter, LineReporter),
        (2, LineReporter, LineReporter),
        (0, NullReporter, NullReporter),
        (False, NullReporter, NullReporter),
    ],
)
def test_verbose_and_the_terminal_choose_the_reporter(monkeypatch, verbose, on_terminal, elsewhere):
    use_terminal(monkeypatch)
    assert type(make_reporter(verbose)) is on_terminal
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert type(make_reporter(verbose)) is elsewhere
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(make_reporter(verbose)) is elsewhere


def test_a_dumb_terminal_gets_lines(monkeypatch):
    use_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    assert type(make_reporter("auto")) is LineReporter


@pytest.mark.parametrize(("verbose", "count"), [(1, 0), (2, 3)])
def test_verbose_2_writes_a_line_for_each_trial(capsys, verbose, count):
    with make_reporter(verbose) as reporter:
        for number in range(1, 4):
            reporter.trial(number, evaluation(), "val_accuracy")
    assert capsys.readouterr().out.count("Trial ") == count


def test_silence(capsys, clock):
    with make_reporter(0) as reporter:
        tell_everything(reporter, clock)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("verbose", [3, -1, "loud", "1", None, 1.0, [1]])
def test_other_values_are_refused(verbose):
    with pytest.raises(InvalidArgumentError, match=r'`verbose` must be "auto", 0, 1 or 2. Received: verbose='):
        make_reporter(verbose)
