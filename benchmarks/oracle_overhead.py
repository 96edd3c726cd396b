"""What a trial without work costs: milliseconds per trial as a search grows, and the time to resume it.

    python benchmarks/oracle_overhead.py                 5,000 trials of each row: two to three minutes
    python benchmarks/oracle_overhead.py --trials 1000

Prints a section for RESULTS.md. A space of 24 decisions with 4 options each; the score is made up, no model is built.
"""

import argparse
import contextlib
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras_tuner

from automl_keras.testing import flat_space
from automl_keras.tuners import EvolutionOracle, RandomSearchOracle, stock
from automl_keras.tuners.durable_tuner import DurableTuner

SPACE = flat_space(24, 4)
OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")
SIZES = (100, 1_000, 5_000)
WINDOW = 100


class Row(NamedTuple):
    tuner: type[keras_tuner.Tuner]
    oracle: Callable[..., keras_tuner.Oracle]
    settings: dict[str, Any]


ROWS = {
    "Keras-Tuner: random search": Row(
        keras_tuner.Tuner, keras_tuner.oracles.RandomSearchOracle, {"hyperparameters": SPACE.to_hyperparameters()}
    ),
    "the same on our storage": Row(
        DurableTuner, stock.RandomSearchOracle, {"hyperparameters": SPACE.to_hyperparameters()}
    ),
    "ours: random": Row(DurableTuner, RandomSearchOracle, {"space": SPACE}),
    "ours: evolution": Row(DurableTuner, EvolutionOracle, {"space": SPACE}),
    "ours: evolution, in a plain `keras_tuner.Tuner`": Row(keras_tuner.Tuner, EvolutionOracle, {"space": SPACE}),
}


def timed(tuner_class: type[keras_tuner.Tuner]) -> type[keras_tuner.Tuner]:
    """The tuner with trials that do nothing but note when they begin."""

    class Timed(tuner_class):  # type: ignore[misc, valid-type]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            begins = vars(self).setdefault("begins", [])
            begins.append(time.perf_counter())
            return {"val_accuracy": len(begins) * 7919 % 1000 / 1000}

    return Timed


def measure(row: Row, num_trials: int) -> tuple[list[float], float]:
    """The milliseconds of each trial, and the seconds to make the tuner again."""
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
        make_oracle = partial(row.oracle, objective=OBJECTIVE, max_trials=num_trials, seed=1, **row.settings)
        make_tuner = partial(timed(row.tuner), directory=Path(directory), project_name="search")
        tuner = make_tuner(make_oracle())
        tuner.search(verbose=0)
        moments = [*tuner.begins, time.perf_counter()]
        del tuner
        start = time.perf_counter()
        resumed = make_tuner(make_oracle())
        resumed.save()
        seconds = time.perf_counter() - start
        assert len(resumed.oracle.trials) == num_trials
    return [1e3 * (end - begin) for begin, end in itertools.pairwise(moments)], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=SIZES[-1], help="default: %(default)s")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.trials]
    print("## What a trial without work costs\n")
    print(f"Milliseconds per trial, mean of the {WINDOW} up to the one named; resuming {options.trials:,} trials.\n")
    print("| " + " | ".join(["oracle and tuner", *(f"at {n:,}" for n in sizes), "median", "resume"]) + " |")
    print("|---" * (len(sizes) + 3) + "|")
    for name, row in ROWS.items():
        times, seconds = measure(row, options.trials)
        at = [f"{statistics.mean(times[size - WINDOW : size]):.2f}" for size in sizes]
        print("| " + " | ".join([name, *at, f"{statistics.median(times):.2f}", f"{seconds:.2f} s"]) + " |", flush=True)


if __name__ == "__main__":
    main()
