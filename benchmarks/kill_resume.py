"""Searches killed at random moments, again and again: what of them is lost.

    python benchmarks/kill_resume.py                     60 kills of each row: about five minutes
    python benchmarks/kill_resume.py --kills 10

Prints a section for RESULTS.md. Trials do no work, so that a process is nearly always killed while it writes: an upper
bound for trials that last. Each search is resumed until its project cannot be read, then a new one is begun.
"""

import argparse
import contextlib
import io
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner

from automl_keras.testing import flat_space, toy_score
from automl_keras.tuners import ENASOracle, EvolutionOracle, PNASOracle, stock

SPACE = flat_space(24, 4)
OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")
LONGEST = 1.0  # seconds until the kill
OracleFactory = Callable[..., keras_tuner.Oracle]
ROWS: dict[str, OracleFactory] = {
    "Keras-Tuner: random search": partial(
        keras_tuner.oracles.RandomSearchOracle, hyperparameters=SPACE.to_hyperparameters()
    ),
    "the same on our storage": partial(stock.RandomSearchOracle, hyperparameters=SPACE.to_hyperparameters()),
    "ours: evolution": partial(EvolutionOracle, space=SPACE),
    "ours: PNAS": partial(PNASOracle, space=SPACE, refit_every=50),
    "ours: ENAS": partial(ENASOracle, space=SPACE, preset="few_trials"),
}
COLUMNS = ("kills", "trials", "unreadable", "lost", "doubled")


def open_search(make_oracle: OracleFactory, folder: Path) -> BaseTuner:
    oracle = make_oracle(objective=OBJECTIVE, max_trials=100_000, seed=1)
    tuner = BaseTuner(oracle, directory=folder, project_name="search")
    oracle.verbose = 0
    tuner.save()
    return tuner


def search(make_oracle: OracleFactory, folder: Path, report: int) -> None:
    """Run trials for ever, and write the name of each to a pipe once it has ended."""
    tuner = open_search(make_oracle, folder)
    while True:
        trial = tuner.oracle.create_trial("tuner0")
        score = toy_score({name: trial.hyperparameters.values[name] for name in SPACE.names})
        tuner.oracle.update_trial(trial.trial_id, {"val_accuracy": score})
        trial.status = "COMPLETED"
        tuner.on_trial_end(trial)
        os.write(report, f"{trial.trial_id}\n".encode())


def look(make_oracle: OracleFactory, folder: Path, report: int) -> None:
    """Resume a search, and write the trials that are completed to a pipe, then the order in which they ended."""
    oracle = open_search(make_oracle, folder).oracle
    completed = [trial_id for trial_id, trial in oracle.trials.items() if trial.status == "COMPLETED"]
    os.write(report, json.dumps([completed, oracle.end_order]).encode())


def in_child(work: Callable[[int], None], kill_after: float | None = None) -> tuple[str, bool]:
    """What a forked process wrote, and whether it came to its end."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            work(write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    return text, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def count(make_oracle: OracleFactory, kills: int, directory: Path) -> Counter[str]:
    """What came of so many kills."""
    counts: Counter[str] = Counter(kills=kills)
    rng, folder, ended = np.random.default_rng(0), directory / "0", set[str]()
    for number in range(kills):
        text, _ = in_child(partial(search, make_oracle, folder), rng.uniform(0.05, LONGEST))
        news = text.split()
        counts["trials"] += len(news)
        counts["doubled"] += len(ended.intersection(news))  # a worker was given a trial that had ended
        ended.update(news)
        text, is_readable = in_child(partial(look, make_oracle, folder))
        if not is_readable:
            counts["unreadable"] += 1
            folder, ended = directory / str(number + 1), set()
            continue
        completed, end_order = json.loads(text)
        counts["lost"] += len(ended.difference(completed))
        counts["doubled"] += len(end_order) - len(set(end_order))
        ended.intersection_update(completed)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="default: %(default)s")
    options = parser.parse_args()
    lines = []
    for name, make_oracle in ROWS.items():
        with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
            counts = count(make_oracle, options.kills, Path(directory))
        lines.append(f"| {name} | " + " | ".join(str(counts[column]) for column in COLUMNS) + " |")
    print("## Searches killed at random moments\n")
    print("Trials that ended and then were not there, or were run again; projects that could not be read at all.\n")
    print("| oracle | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
