"""What a search on Ray costs beyond its trials: 60 trials that wait for 0.2 s, and 60 that train a small network.

    python benchmarks/ray_scaling.py

Runs Keras-Tuner's own loop, then Ray with one worker and with two. The workers have run a trial before the clock
starts; how long Ray took to start is said apart. Prints a section for RESULTS.md.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np
from sklearn.datasets import load_digits

from automl_keras.tuners import DurableTuner, RandomSearchOracle, search_on_ray
from automl_keras.tuners.ray_session import ray_session

NUM_DECISIONS = 24
WAIT_SECONDS = 0.2
EPOCHS = 2


def hyperparameters() -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    for index in range(NUM_DECISIONS):
        hp.Choice(f"d{index}", [0, 1, 2])
    return hp


class WaitingTuner(DurableTuner):
    """A trial takes the same time on any machine."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        start = time.perf_counter()
        time.sleep(WAIT_SECONDS)
        score = float(sum(trial.hyperparameters.values.values()))
        return {"val_accuracy": score, "seconds": time.perf_counter() - start}


class TrainingTuner(DurableTuner):
    """A trial trains, and saves its weights after every epoch that is better than those before."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        start = time.perf_counter()
        [history] = super().run_trial(trial, *args, **kwargs)
        score = max(history.history["val_accuracy"])
        return {"val_accuracy": score, "seconds": time.perf_counter() - start}


def build_model(hp: Any) -> keras.Model:
    widths = [8 + 4 * hp.get(f"d{index}") for index in range(3)]
    layers = [keras.layers.Conv2D(width, 3, padding="same", activation="relu") for width in widths]
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def waiting(directory: str, num_trials: int) -> tuple[keras_tuner.Tuner, tuple[Any, ...], dict[str, Any]]:
    return WaitingTuner(oracle(num_trials), directory=directory), (), {"verbose": 0}


def training(directory: str, num_trials: int) -> tuple[keras_tuner.Tuner, tuple[Any, ...], dict[str, Any]]:
    digits = load_digits()
    tuner = TrainingTuner(oracle(num_trials), build_model, directory=directory)
    x = (digits.images[..., None] / 16).astype(np.float32)
    return tuner, (x, digits.target), {"validation_split": 0.2, "epochs": EPOCHS, "verbose": 0}


def oracle(num_trials: int) -> keras_tuner.Oracle:
    return RandomSearchOracle(
        keras_tuner.Objective("val_accuracy", "max"), num_trials, seed=0, hyperparameters=hyperparameters()
    )


def measure(make: Callable[..., Any], num_trials: int, num_workers: int) -> tuple[float, float]:
    """Seconds of a search, and of a trial within it on average. No workers: Keras-Tuner's loop."""
    with tempfile.TemporaryDirectory() as directory:
        tuner, args, kwargs = make(directory, num_trials)
        # A full collection of what TensorFlow and Ray have imported takes 0.2 s, and would fall into some rows.
        gc.collect()
        gc.freeze()
        start = time.perf_counter()
        if num_workers:
            search_on_ray(tuner, *args, num_workers=num_workers, **kwargs)
        else:
            tuner.search(*args, **kwargs)
        seconds = time.perf_counter() - start
        return seconds, float(
            np.mean([trial.metrics.get_last_value("seconds") for trial in tuner.oracle.trials.values()])
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60, help="of each search (default: 60)")
    num_trials = parser.parse_args().trials
    print("## Overhead of Ray\n")
    print("`python benchmarks/ray_scaling.py`: overhead is the time of a worker for a trial, less the trial's own;")
    print("without full garbage collections of what had been imported before.\n")
    print(
        "| trial | workers | trials | seconds | seconds of a trial | overhead ms per trial |\n|---|---|---|---|---|---|"
    )
    start = time.perf_counter()
    with ray_session("local", 2, 1, 0, 3):
        started = time.perf_counter() - start
        for name, make in ((f"waits {WAIT_SECONDS} s", waiting), ("trains", training)):
            for num_workers in (0, 1, 2):
                measure(make, 4, num_workers)
                seconds, of_trial = measure(make, num_trials, num_workers)
                overhead = seconds * max(1, num_workers) / num_trials - of_trial
                label = num_workers or "without Ray"
                print(
                    f"| {name} | {label} | {num_trials} | {seconds:.2f} | {of_trial:.4f} | {overhead * 1e3:.1f} |",
                    flush=True,
                )
    print(f"\nRay took {started:.1f} s to start.")


if __name__ == "__main__":
    main()
