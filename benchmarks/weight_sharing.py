"""Search with shared weights: what an evaluation costs, and what the systems find.

    python benchmarks/weight_sharing.py --missing    train the supernets that rank81_supernets.csv lacks
    python benchmarks/weight_sharing.py --list       their names
    python benchmarks/weight_sharing.py              the report, also into RESULTS.md, and docs/weight_sharing.png

Winners are looked up among the 81 networks of rank_correlation.py, each trained alone with two seeds: run
`rank_correlation.py --missing --only 'operations-*'` first. What is left are the supernets that policies train,
half an hour on 2 idle cores; the report takes half a minute. `--quick FOLDER` as in rank_correlation.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rank_correlation import mean_and_error
from results_table import RESULTS
from shared_search import BASELINE, PLAIN, SPACE, SYSTEMS, Comparison
from shared_supernets import SEARCH_SEEDS, supernet_tasks
from shared_training import full_setting, quick_setting, run_tasks, write_section

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "weight_sharing.png"
AT = 20  # evaluations at which systems are compared: a quarter of the networks
MUST, AIM = 100, 500  # evaluations in the time of one training
INTRODUCTION = """\
## Search with shared weights

`python benchmarks/weight_sharing.py`, on the {networks} networks of one of three operations in each of four stages.

### Seconds of an evaluation

Shared weights: recalibration on 1,000 images and 2,000 validation images. Alone: making, tracing and training a network
by the recipe of the section before. Medians. Must: {must} times as fast; aim: {aim} times.

{cost}

### Systems

Every supernet had {gradients} gradients, every search {at} evaluations with shared weights; {searches} search seeds on
each of {supernets} supernets. While the supernets of `enas` and `mdenas` were trained, their policies moreover judged
minibatches. `{plain}`: as many gradients spent on {affordable} random networks from scratch. In so small a space the
populations and initial points of strategies are 6. Without sizes progressive shrinking is uniform training, so
`once_for_all` has the weights of `{baseline}`; and of three gradients of the sandwich rule, under `evolution`, two are
zero.

Accuracy: of the winner trained alone, mean of two seeds, in %; the best of all networks has {best:.2f}, the mean
{mean:.2f}. Differences are in points, paired by supernet and search seed, averaged over the supernets, ± standard error
over the search seeds: to `{baseline}`, and to random search on the system's own weights. `each supernet`: the
former before averaging. `all evaluated`: the network that is the best of all on these weights.

{systems}

![Accuracy of the winner against seconds and evaluations](../docs/{picture})"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", action="store_true", help="train the missing supernets")
    parser.add_argument("--list", action="store_true", help="print the names of what is missing")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="only these names, such as '*-enas-0'")
    parser.add_argument("--quick", type=Path, metavar="FOLDER", help="at toy size, with the files in this folder")
    options = parser.parse_args(arguments)
    setting = full_setting() if options.quick is None else quick_setting(options.quick)
    tasks = supernet_tasks(setting, [(SPACE, t) for t in dict.fromkeys(s.training for s in SYSTEMS.values())])
    if options.list:
        print("\n".join(name for name, _ in tasks))
    elif options.missing:
        run_tasks(tasks, options.only)
    else:
        found = Comparison(setting)
        text = report(found)
        print(text)
        plot(found, PICTURE if options.quick is None else options.quick / PICTURE.name)
        if options.quick is None:
            write_section(RESULTS, "weight_sharing", text)


def report(found: Comparison) -> str:
    """The section of RESULTS.md."""
    accuracies = list(found.alone.values())
    return INTRODUCTION.format(
        networks=len(found.alone),
        must=MUST,
        aim=AIM,
        cost=_cost_table(found),
        gradients=" or ".join(map(str, found.gradients)),
        at=AT,
        searches=len(SEARCH_SEEDS),
        supernets=len(found.setting.supernet_seeds),
        plain=PLAIN,
        affordable=found.affordable,
        baseline=BASELINE,
        best=100 * max(accuracies),
        mean=100 * np.mean(accuracies),
        systems=_systems_table(found),
        picture=PICTURE.name,
    )


def _cost_table(found: Comparison) -> str:
    alone = found.seconds[PLAIN][1]
    lines = [
        "| weights of | training the supernet | one evaluation | one training alone | ratio |\n|---|---|---|---|---|"
    ]
    for name, (train, evaluate) in found.seconds.items():
        if name != PLAIN:
            lines.append(f"| {name} | {train:.0f} | {evaluate:.3f} | {alone:.1f} | {alone / evaluate:.0f} |")
    return "\n".join(lines)


def _systems_table(found: Comparison) -> str:
    lines = [
        "| system | accuracy | to random_ws | to random, same weights | each supernet | all evaluated | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, curve in found.curves.items():
        now = 100 * curve[..., min(AT, curve.shape[-1]) - 1]
        cells = ["-"] * 4
        if BASELINE in found.curves and name != BASELINE:
            difference = now - 100 * found.curves[BASELINE][..., AT - 1]
            cells[0] = mean_and_error(difference.mean(axis=0), 2)
            cells[2] = ", ".join(f"{value:+.2f}" for value in difference.mean(axis=1))
        if name in found.random and name != BASELINE:
            difference = now - 100 * found.random[name][..., AT - 1]
            cells[1] = mean_and_error(difference.mean(axis=0), 2)
        if name in found.best_shared:
            cells[3] = f"{100 * found.best_shared[name]:.2f}"
        train, evaluate = found.seconds[name]
        seconds = train + evaluate * min(AT, curve.shape[-1])
        lines.append(f"| {name} | {now.mean():.2f} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def plot(found: Comparison, path: Path) -> None:
    """Accuracy alone of the winner so far, against seconds and against evaluations; bands of one standard error."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    by_time, by_evaluations = figure.subplots(1, 2, sharey=True)
    for index, (name, curve) in enumerate(found.curves.items()):
        train, evaluate = found.seconds[name]
        values = 100 * curve.mean(axis=0)  # of each search seed
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
        evaluations = np.arange(1, len(mean) + 1)
        for axes, places in ((by_time, train + evaluate * evaluations), (by_evaluations, evaluations)):
            if axes is by_evaluations and name == PLAIN:
                continue  # its evaluations are trainings
            style = {"color": f"C{index}", "linestyle": "--" if name == BASELINE else "-", "zorder": -index}
            axes.plot(places, mean, label=name, marker="." if name == PLAIN else None, **style)
            axes.fill_between(places, mean - error, mean + error, color=style["color"], alpha=0.15, linewidth=0)
    for axes in (by_time, by_evaluations):
        axes.axhline(100 * max(found.alone.values()), label="best network", color="black", linestyle=":", linewidth=1)
        axes.grid(visible=True, alpha=0.2)
    by_time.set(xlabel="seconds: training the supernet, then searching", ylabel="winner trained alone, accuracy in %")
    by_evaluations.set(xlabel="evaluations with shared weights")
    by_time.legend(frameon=False)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
