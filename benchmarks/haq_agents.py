"""Is HAQ's agent better than chance? Searches of bit policies on a table of measured rewards.

    python benchmarks/haq_agents.py                    # ten seeds, 100 evaluations: about five minutes
    python benchmarks/haq_agents.py --seeds 2 --trials 300

Every policy of a small network was made into a file and run on 2,000 images (`haq_table.py`), so the best policy within
a budget is known, and an evaluation takes no time. Printed is the regret: how far the best policy found so far is below
the best of the table, in accuracy points. No agent evaluates a policy twice; what DDPG plays from memory costs it no
evaluation. `OPENBLAS_NUM_THREADS=1` makes DDPG faster on a machine with few cores.
"""

import argparse
import math
import time
from dataclasses import dataclass, field

import numpy as np
from haq_table import PolicyTable, load_table

from automl_keras.evaluation import Evaluation
from automl_keras.quantization.ilp import LinearLimit
from automl_keras.quantization.searches import run_search
from automl_keras.search_space import Architecture

AGENTS = {"random": "random with the wall", "ddpg": "DDPG", "evolution": "evolution", "ilp": "ILP"}
ALONE = "ilp"  # has no random numbers
POINTS = (25, 50, 75, 100)
BUDGETS = (0.75, 0.5, 0.25)  # of the way from the smallest file to the largest


@dataclass
class Recorder:
    """Evaluates by the table, and notes after every evaluation how good the best policy within the limit is."""

    table: PolicyTable
    limit: float
    best: list[float] = field(default_factory=list)

    def evaluate(self, architecture: Architecture) -> Evaluation:
        found = self.table.evaluate(architecture)
        before = self.best[-1] if self.best else -math.inf
        is_within = self.table.size_of(architecture) <= self.limit
        self.best.append(max(before, found.metrics["val_accuracy"]) if is_within else before)
        return found


def regrets(agent: str, table: PolicyTable, limit: float, seed: int, trials: int) -> list[float]:
    """After every evaluation, in accuracy points; infinite before the first within the limit."""
    size = LinearLimit.additive(table.size_of, table.space, limit)
    recorder = Recorder(table, limit)
    run_search(agent, table.space, recorder, limits=[size], measure=table.size_of, trials=trials, seed=seed)
    within = table.accuracies[table.size <= limit]
    return [100.0 * float(within.max() - best) for best in recorder.best]


def mean_and_error(values: np.ndarray) -> str:
    """Mean and standard error, as text."""
    error = f" ± {values.std(ddof=1) / math.sqrt(len(values)):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def verdict(ddpg: np.ndarray, random: np.ndarray) -> str:
    """Which of the two is better with the same seeds, if two standard errors tell."""
    difference = ddpg - random
    error = difference.std(ddof=1) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
    if abs(difference.mean()) <= 2 * error:
        return f"not told apart ({difference.mean():+.3f} ± {error:.3f})"
    return f"DDPG is {'better' if difference.mean() < 0 else 'worse'} ({difference.mean():+.3f} ± {error:.3f})"


def compare(table: PolicyTable, limit: float, points: list[int], seeds: int) -> str:
    """Print the rows of one budget; returns what they say of DDPG."""
    found: dict[str, np.ndarray] = {}
    for agent, title in AGENTS.items():
        start, runs = time.monotonic(), 1 if agent == ALONE else seeds
        rows = [regrets(agent, table, limit, seed, points[-1]) for seed in range(runs)]
        seconds = (time.monotonic() - start) / runs
        # The integer programme may end before; then nothing changes any more.
        found[agent] = np.array([[row[min(point, len(row)) - 1] for point in points] for row in rows])
        cells = [mean_and_error(column) for column in found[agent].T]
        print(f"| {limit / 1000:.1f} kB | {title} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)
    is_within = table.size <= limit
    pairs = zip(points, found["ddpg"].T, found["random"].T, strict=True)
    said = [f"after {point} {verdict(ddpg, random)}" for point, ddpg, random in pairs]
    return (
        f"- {limit / 1000:.1f} kB ({is_within.sum()} of {len(is_within)} policies, the best "
        f"{100 * table.accuracies[is_within].max():.2f} %): {'; '.join(said)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=POINTS[-1], help="evaluations (default: %(default)s)")
    parser.add_argument("--budgets", type=float, nargs="+", default=BUDGETS, metavar="SHARE", help="from 0 to 1")
    options = parser.parse_args()
    table = load_table()
    points = [point for point in POINTS if point < options.trials] + [options.trials]
    print(f"| file, at most | agent | {' | '.join(f'after {point}' for point in points)} | seconds |")
    print("|---|---|" + "---|" * (len(points) + 1))
    smallest, largest = float(table.size.min()), float(table.size.max())
    limits = [smallest + share * (largest - smallest) for share in options.budgets]
    verdicts = [compare(table, limit, points, options.seeds) for limit in limits]
    print(f"\nAll layers at their largest: {largest / 1000:.1f} kB, {100 * table.accuracies[-1]:.2f} %.")
    print("DDPG against random with the wall, paired by seed, in accuracy points of regret:\n")
    print("\n".join(verdicts))


if __name__ == "__main__":
    main()
