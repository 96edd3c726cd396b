"""How well `LatencyTable` predicts the latency of int8 files, beside a line through their MACs.

Random architectures of the 28x28 image space are exported and timed whole. On an idle machine:

    python benchmarks/latency_table.py               # 50 architectures, about two minutes
    python benchmarks/latency_table.py --count 10
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from automl_keras.evaluation import network_cost
from automl_keras.evaluation.latency_cache import cpu_name
from automl_keras.evaluation.latency_operations import export_untrained
from automl_keras.evaluation.latency_table import NETWORKS, LatencyTable
from automl_keras.export import median_latency, runtime_name
from automl_keras.search_space import NetworkSpec, image_space

SEED = 2026  # the table draws its networks with seed 0


def measured(spec: NetworkSpec, folder: Path) -> float:
    return median_latency(export_untrained(spec, folder / "whole.tflite"))


def line_through(macs: np.ndarray, milliseconds: np.ndarray) -> np.ndarray:
    """What a line predicts whose squared relative error on these very networks is the smallest."""
    features = np.stack([np.ones(len(macs)), macs], axis=1)
    coefficients = np.linalg.lstsq(features / milliseconds[:, None], np.ones(len(macs)), rcond=None)[0]
    return features @ coefficients


def row(name: str, predicted: np.ndarray, milliseconds: np.ndarray, seconds: str) -> str:
    errors = np.abs(predicted / milliseconds - 1)
    tau = kendalltau(predicted, milliseconds).statistic
    ratio = np.median(predicted / milliseconds)
    return (
        f"| {name} | {np.median(errors):.1%} | {np.quantile(errors, 0.9):.1%} | {errors.max():.1%} | {ratio:.3f} "
        f"| {tau:.3f} | {seconds} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50, help="architectures to predict")
    parser.add_argument("--networks", type=int, default=NETWORKS, help="networks whose operations are timed")
    arguments = parser.parse_args()
    space = image_space((28, 28, 1), 10)
    drawn = [space.sample(np.random.default_rng((SEED, index))) for index in range(arguments.count)]
    specs = [space.network_spec(architecture) for architecture in drawn]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        measured(specs[0], folder)  # imports TensorFlow
        start = time.perf_counter()
        table = LatencyTable.measure(space, folder=folder, networks=arguments.networks)
        made = time.perf_counter()
        LatencyTable.measure(space, folder=folder, networks=arguments.networks)
        loaded = time.perf_counter()
        predicted = np.array([table.predict(spec) for spec in specs])
        each = (time.perf_counter() - loaded) / len(specs)
        milliseconds = np.array([measured(spec, folder) for spec in specs])
    macs = np.array([network_cost(spec).macs for spec in specs], float)
    print(f"{runtime_name()}, {cpu_name()}")
    print(
        f"{len(specs)} networks of {milliseconds.min():.3f} to {milliseconds.max():.3f} ms; "
        f"table of {len(table.entries)} operations, overhead {table.overhead_ms * 1e6:.0f} ns\n"
    )
    print("| predicted by | median error | 90 % | largest | median of predicted/measured | Kendall tau | time |")
    print("|---|---|---|---|---|---|---|")
    seconds = f"{made - start:.1f} s, {loaded - made:.2f} s from the cache, {each * 1e6:.0f} us per network"
    print(row("`LatencyTable`", predicted, milliseconds, seconds))
    print(row("MACs, a line fitted to these networks", line_through(macs, milliseconds), milliseconds, ""))


if __name__ == "__main__":
    main()
