"""One training, many devices: what 40 byte budgets cost and reach after one fit.

    python benchmarks/specialize.py                        once_for_all, 300 s
    python benchmarks/specialize.py evolution              under the sandwich rule
    python benchmarks/specialize.py --seconds 600 --alone 4

One `ImageClassifier` is fitted to Fashion-10k; `specialize` then answers budgets between the smallest and the largest
networks of its supernet. For some of them the same network is trained from scratch on the same images, in as many
steps as the supernet had. The report goes into RESULTS.md. The fit and all lines are kept in
benchmarks/.cache/specialize, so a run that was killed goes on. On 2 idle cores: 5 minutes for the fit, 3 for the
budgets, 1 or 2 for each network alone, 20 in all. `--quick FOLDER` does it at toy size in that folder.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from datasets import Data, digits, fashion_10k
from results_table import BENCHMARKS, RESULTS
from shared_training import Results, write_section
from specialize_report import markdown

from automl_keras import Budget, ImageClassifier
from automl_keras.data import PreparedData, prepare_data
from automl_keras.estimators.specializing import Specializer
from automl_keras.evaluation import network_cost
from automl_keras.export import TFLiteModel, export_int8
from automl_keras.search_space import Architecture, NetworkSpace, build_network, network_space_from_dict
from automl_keras.supernet import Round
from automl_keras.training import BATCH_SIZE, Limit, train_network
from automl_keras.tuners import SYSTEMS, Project
from automl_keras.tuners.oracle import PHASE, ROUND

CACHE = BENCHMARKS / ".cache" / "specialize"
SPECIAL = ("number", "budget", "kB", "search", "export", "accuracy", "architecture")
SAMPLES = 300
ALONE = ("number", "steps", "passes", "seconds", "accuracy")


@dataclass(frozen=True)
class Job:
    """One fit and what is asked of it.

    Attributes:
        folder: Where everything is kept.
        data: To train and to test on.
        settings: Arguments of `ImageClassifier`.
        epochs: Of the fit, where epochs are counted.
        budgets: How many.
        alone: For how many of them the network is trained alone, too.
    """

    folder: Path
    data: Data
    settings: Mapping[str, Any]
    epochs: int | None
    budgets: int
    alone: int

    @cached_property
    def classifier(self) -> ImageClassifier:
        """Fitted now, or read from its project if it has been fitted before."""
        classifier = ImageClassifier(**self.settings, directory=self.folder, verbose=0)
        return classifier.fit(self.data.x_train, self.data.y_train, epochs=self.epochs)

    @cached_property
    def prepared(self) -> PreparedData:
        """The data as the fit split them."""
        return prepare_data(self.data.x_train, self.data.y_train, seed=self.settings["seed"])

    @cached_property
    def space(self) -> NetworkSpace:
        """That of the supernet."""
        return network_space_from_dict(self.plan["space"])

    @property
    def plan(self) -> dict[str, Any]:
        assert self.classifier.plan_ is not None  # the fit was not interrupted
        return self.classifier.plan_

    def results(self, name: str, columns: Sequence[str]) -> Results:
        """A file of results beside the project."""
        return Results(self.folder / f"{name}.csv", columns, "benchmarks/specialize.py")

    def supernet_steps(self) -> int:
        """Steps in all rounds of the supernet, each on one batch whatever the number of paths."""
        rounds = [Round.from_dict(planned) for planned in self.plan["rounds"]]
        steps = 0
        for trial in Project(self.folder / self.classifier.project_name).trials:
            if trial.values.get(PHASE) == "train":
                planned = rounds[int(trial.values[ROUND]) - 1]
                paths = 1 if planned.sampler == "policy" else planned.make_sampler(self.space, seed=0).num_paths
                steps += round(trial.metrics["gradient_evaluations"] / paths)
        return steps


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tuner", nargs="?", default="once_for_all", choices=sorted(SYSTEMS), metavar="TUNER")
    parser.add_argument("--seconds", type=float, default=300, help="of the fit (default: %(default)s)")
    parser.add_argument("--kilobytes", type=float, default=120, help="budget of the fit (default: %(default)s)")
    parser.add_argument("--budgets", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--alone", type=int, default=8, help="networks trained alone (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", type=Path, metavar="FOLDER", help="at toy size, with the files in this folder")
    options = parser.parse_args(arguments)
    settings = {"tuner": options.tuner, "budget": Budget(max_size_kb=options.kilobytes), "seed": options.seed}
    if options.quick is not None:
        data = digits()
        few = data._replace(x_train=data.x_train[:400], y_train=data.y_train[:400])
        print(run(Job(options.quick, few, {**settings, "max_trials": 3}, 2, 3, 1)))
        return
    limits = f"{options.seconds:g}s-{options.kilobytes:g}kB"
    folder = CACHE / f"{options.tuner}-{limits}-{options.seed}"
    settings["time_limit"] = options.seconds
    text = run(Job(folder, fashion_10k(), settings, None, options.budgets, options.alone))
    print(text)
    write_section(RESULTS, f"specialize_{options.tuner}-{limits}", text)


def run(job: Job) -> str:
    """Do what is missing; the section of RESULTS.md."""
    if job.plan["space"] is None:
        sys.exit(f"The fit trained no supernet: it needs more seconds or fewer kilobytes. Plan: {job.plan['reason']}")
    budgets = spread_budgets(job.space, job.budgets)
    special, alone = job.results("specialized", SPECIAL), job.results("alone", ALONE)
    finished = _by_number(special)
    for number, kilobytes in enumerate(budgets):
        if number not in finished:
            special.append([{"number": number, **specialized(job, kilobytes)}])
    lines, finished = _by_number(special), _by_number(alone)
    for number in np.unique(np.linspace(0, job.budgets - 1, job.alone).round().astype(int)).tolist():
        if number not in finished:
            architecture = job.space.canonical(json.loads(lines[number]["architecture"]))
            alone.append([{"number": number, **trained_alone(job, architecture)}])
    return markdown(job.settings, list(lines.values()), _by_number(alone))


def spread_budgets(space: NetworkSpace, number: int) -> list[float]:
    """Kilobytes, evenly by ratio, from the smallest twentieth of random networks to the largest of them."""
    rng = np.random.default_rng(SAMPLES)
    sizes = [network_cost(space.network_spec(space.sample(rng))).size_kb or 0.0 for _ in range(SAMPLES)]
    return np.geomspace(np.quantile(sizes, 0.05), max(sizes), number).tolist()


def _by_number(results: Results) -> dict[int, dict[str, str]]:
    return {int(line["number"]): line for line in results.lines()}


@contextmanager
def timed_exports() -> Iterator[list[float]]:
    """Collects the seconds of all exports that `specialize` makes."""
    seconds: list[float] = []
    export = Specializer.export

    def timed(*arguments: Any, **settings: Any) -> Any:
        start = time.monotonic()
        try:
            return export(*arguments, **settings)
        finally:
            seconds.append(time.monotonic() - start)

    with mock.patch.object(Specializer, "export", timed):
        yield seconds


def specialized(job: Job, kilobytes: float) -> dict[str, Any]:
    """Ask for one budget."""
    start = time.monotonic()
    with timed_exports() as exports:
        special = job.classifier.specialize(Budget(max_size_kb=kilobytes))
    took = time.monotonic() - start
    return {
        "budget": kilobytes,
        "kB": special.report_.size_kb,
        "search": took - sum(exports),
        "export": sum(exports),
        "accuracy": test_accuracy(job, special.tflite_path_),
        "architecture": json.dumps(special.best_architecture_.to_dict()),
    }


def trained_alone(job: Job, architecture: Architecture) -> dict[str, Any]:
    """Train the same network from scratch, in as many steps on the same images."""
    start, seed, prepared, steps = time.monotonic(), job.settings["seed"], job.prepared, job.supernet_steps()
    train = prepared.train
    model = build_network(job.space.network_spec(architecture), prepared.info, seed=seed)
    recipe = {**job.plan["recipe"], "distillation": False}
    train_network(model, train.images, train.codes, recipe, Limit(steps=steps), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        export_int8(model, path, prepared.info, calibration_images=train.images, seed=seed)
        accuracy = test_accuracy(job, path)
    passes = steps * min(BATCH_SIZE, train.num_examples) / train.num_examples
    return {
        "steps": steps,
        "passes": passes,
        "seconds": time.monotonic() - start,
        "accuracy": accuracy,
    }


def test_accuracy(job: Job, path: Path) -> float:
    """Of a file, on the test images."""
    images = job.data.x_test.reshape(-1, *job.prepared.info.image_shape)
    answers = job.prepared.codec.decode(TFLiteModel(path).predict(images).argmax(axis=1))
    return float(np.mean(answers == job.data.y_test))


if __name__ == "__main__":
    main()
