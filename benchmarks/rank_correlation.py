"""Does accuracy with shared weights rank networks as training them alone does?

    python benchmarks/rank_correlation.py --table --missing       train alone what rank81_alone.csv lacks
    python benchmarks/rank_correlation.py --supernets --missing   train the supernets that rank81_shared.csv lacks
    python benchmarks/rank_correlation.py --missing               both
    python benchmarks/rank_correlation.py --missing --only 'sizes-fair-*'
    python benchmarks/rank_correlation.py --list                  the names of what is missing
    python benchmarks/rank_correlation.py                         the report, also into RESULTS.md

Two sets of networks on Fashion-10k: all 81 of a space of 4 stages with one of 3 operations each, and 60 random ones of
a part of the image space, in which depths and widths vary too. Everything is counted in epochs and gradients, so it is
repeatable. Results are kept in benchmarks/data; whatever is killed begins again with what is not there yet.
On 2 idle cores: 2.5 hours for the networks alone (20 to 40 s each), 1 hour for the supernets. `--quick FOLDER` runs
all of it at toy size, with the files in that folder, in a minute.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from results_table import RESULTS
from scipy.stats import kendalltau
from shared_supernets import shared_results, supernet_results, supernet_tasks
from shared_training import (
    ALONE_SEEDS,
    SPACES,
    Setting,
    alone_results,
    alone_tasks,
    full_setting,
    quick_setting,
    run_tasks,
    write_section,
)

from automl_keras.evaluation import network_cost

TRAININGS = ("uniform", "sandwich", "fair")
STATISTICS = ("recalibrated", "moving_mean")
TOP = 5
MUST = 0.85  # of the ceiling
TITLES = {
    "operations": "{} networks: one of three operations in each of four stages",
    "sizes": "{} random networks of the image space, sizes included",
}
INTRODUCTION = """\
## Does shared-weight accuracy rank networks?

`python benchmarks/rank_correlation.py`. Networks trained alone: {epochs} epochs of 8,000 images of Fashion-10k, two
seeds, judged on 20,000 images of Fashion-MNIST's training part that are not in Fashion-10k. Supernets: {gradients}
gradients of one path on one batch each (a step of `fair` and of `sandwich` computes three), accuracies on 2,000
validation images. Kendall tau and the share of the {top} best that are among the {top} best, against the mean
of both seeds alone; mean ± standard error over the seeds of supernets. `ceiling`: one seed alone against the other; the
mean of both is less noisy, so it can be passed. `MACs`, `parameters`: ranked by these, without any training.
`recalibrated`: BatchNorm statistics of each network by itself. `moving mean`: one set of statistics for all, as a
moving mean over paths of the largest sizes holds it. In the first space `sandwich` has no sizes: two of its
three paths in a step equal the first, which teaches them, so their gradients are zero.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only the networks that are trained alone")
    parser.add_argument("--supernets", action="store_true", help="only the supernets")
    parser.add_argument("--missing", action="store_true", help="run what is missing")
    parser.add_argument("--list", action="store_true", help="print the names of what is missing")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="only these names, such as 'operations-*-0'")
    parser.add_argument("--quick", type=Path, metavar="FOLDER", help="at toy size, with the files in this folder")
    options = parser.parse_args(arguments)
    setting = full_setting() if options.quick is None else quick_setting(options.quick)
    tasks = []
    if options.table or not options.supernets:
        tasks += alone_tasks(setting)
    if options.supernets or not options.table:
        tasks += supernet_tasks(setting, [(space, training) for space in SPACES for training in TRAININGS])
    if options.list:
        print("\n".join(name for name, _ in tasks))
    elif options.missing:
        run_tasks(tasks, options.only)
    else:
        text = report(setting)
        print(text)
        if options.quick is None:
            write_section(RESULTS, "rank_correlation", text)


def report(setting: Setting) -> str:
    """The section of RESULTS.md, of what is known so far."""
    gradients = {line["gradient_evaluations"] for line in supernet_results(setting).lines()}
    words = {"epochs": setting.epochs, "gradients": " or ".join(sorted(gradients)) or "no", "top": TOP}
    parts = [INTRODUCTION.format(**words)]
    for space in SPACES:
        alone = alone_accuracies(setting, space)
        if len(alone):
            parts.append(f"### {TITLES[space].format(len(alone))}\n\n{_table(setting, space, alone)}")
    return "\n".join(parts).rstrip()


def alone_accuracies(setting: Setting, space: str, which: str = "held_out") -> dict[str, np.ndarray]:
    """Accuracies of the networks that are trained with all seeds, by code; an array has one for each seed."""
    found = {
        (line["network"], int(line["seed"])): float(line[which])
        for line in alone_results(setting).lines()
        if line["space"] == space
    }
    both = {code: [found.get((code, seed), np.nan) for seed in ALONE_SEEDS] for code in setting.networks(space)}
    return {code: np.array(values) for code, values in both.items() if np.isfinite(values).all()}


def shared_accuracies(setting: Setting, space: str, training: str, which: str) -> dict[int, dict[str, float]]:
    """Accuracies with shared weights by code, by the seed of a supernet that is finished."""

    def of_training(lines: list[dict[str, str]]) -> list[dict[str, str]]:
        return [line for line in lines if (line["space"], line["training"]) == (space, training)]

    lines = of_training(shared_results(setting).lines())
    seeds = sorted(int(line["seed"]) for line in of_training(supernet_results(setting).lines()))
    return {
        seed: {line["network"]: float(line[which]) for line in lines if int(line["seed"]) == seed} for seed in seeds
    }


def agreement(predicted: npt.ArrayLike, true: npt.ArrayLike) -> tuple[float, float]:
    """Kendall tau (b, which counts ties for neither side), and the share of the best few that both name."""
    best = [set(np.argsort(-np.asarray(values), kind="stable")[:TOP].tolist()) for values in (predicted, true)]
    return float(kendalltau(predicted, true).statistic), len(best[0] & best[1]) / len(best[0])


def _table(setting: Setting, space: str, alone: dict[str, np.ndarray]) -> str:
    values = np.array(list(alone.values()))
    true = values.mean(axis=1)
    ceiling = agreement(values[:, 0], values[:, 1])
    lines = [
        f"Alone: {100 * true.min():.2f} to {100 * true.max():.2f} %, standard deviation over networks "
        f"{100 * true.std():.2f} points, between the seeds of a network {100 * _noise(values):.2f}.\n",
        f"| ranked by | statistics | tau | of the ceiling | top {TOP} | seeds |\n|---|---|---|---|---|---|",
        f"| ceiling | | {ceiling[0]:.3f} | 1 | {ceiling[1]:.2f} | |",
    ]
    for training in TRAININGS:
        for which in STATISTICS:
            scores = shared_accuracies(setting, space, training, which)
            found = [agreement([score[code] for code in alone], true) for score in scores.values()]
            if found:
                taus, overlaps = np.array(found).T
                share = taus.mean() / ceiling[0]
                lines.append(
                    f"| {training} | {which.replace('_', ' ')} | {mean_and_error(taus)} | {share:.2f} "
                    f"| {mean_and_error(overlaps, 2)} | {len(found)} |"
                )
    networks = setting.networks(space)
    costs = [network_cost(setting.spaces[space].network_spec(networks[code])) for code in alone]
    for name, cost in (("MACs", [c.macs or 0 for c in costs]), ("parameters", [c.params or 0 for c in costs])):
        tau, overlap = agreement(cost, true)
        lines.append(f"| {name} | | {tau:.3f} | {tau / ceiling[0]:.2f} | {overlap:.2f} | |")
    return "\n".join(lines) + f"\n\nMust: {MUST} of the ceiling with the best sampler.\n"


def _noise(values: np.ndarray) -> float:
    """The standard deviation of one network over seeds, from pairs of seeds."""
    return float(np.sqrt(np.mean((values[:, 0] - values[:, 1]) ** 2) / 2))


def mean_and_error(values: np.ndarray, digits: int = 3) -> str:
    """A mean with its standard error, which one value has not."""
    if len(values) < 2:
        return f"{values.mean():.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1) / np.sqrt(len(values)):.{digits}f}"


if __name__ == "__main__":
    main()
