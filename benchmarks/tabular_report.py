"""The tables and the picture of the tabular benchmark."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nas_tables import TABLE_NAMES, load_table
from tabular_results import Check, Results

QUERIES = (25, 50, 100, 200, 300)
BEGIN, END = "<!-- tabular_nas: begin -->", "<!-- tabular_nas: end -->"
TITLES = {
    "macro": "NAS-Bench-Macro, CIFAR-10",
    "201-cifar10": "NAS-Bench-201, CIFAR-10",
    "201-cifar100": "NAS-Bench-201, CIFAR-100",
    "201-imagenet16-120": "NAS-Bench-201, ImageNet16-120",
}
INTRODUCTION = """\
Strategies that search published tables of trained networks. Regret: how far the true accuracy of `best()` is below
the best of the table, in accuracy points; mean ± standard error over seeds. NAS-Bench-Macro: told the test accuracy
of one of three training runs, drawn at random, judged by their mean. NAS-Bench-201, 12 epochs: told the validation
accuracy, judged by the test accuracy. All settings are the defaults. Optuna's and Keras-Tuner's Bayesian search may
ask for the same network twice; both count, except with free repeats, where the network is answered with the value
observed before and only new ones count. `random search needs`: queries with which the expected regret of random
search is as low as this row's after 100, by order statistics (exact on NAS-Bench-201; on NAS-Bench-Macro exact over
the orders, for the mean of 1,000 draws of the noise); `>` where all networks are not enough. The floor is the
expected regret of who knows all observations and picks the highest."""


def markdown(results: Results, found: Sequence[Check], default: str, heading: str) -> str:
    """The section of RESULTS.md."""
    picture = "![Regret against queries](../docs/tabular_nas.png)"
    parts = ["## Strategies on published tables", heading, INTRODUCTION, picture]
    for name in results.tables:
        floor = load_table(name).floor
        parts.append(f"### {TITLES[name]}\n\nFloor: {floor:.3f}.\n\n{_regret_table(results, name)}")
    parts += [f"### Time per query\n\n{_cost_table(results)}"]
    named = f"`DEFAULT_STRATEGY` is `{default}`. Differences are ± one standard error."
    parts += [f"### Goals\n\n{named}\n\n{_check_table(found)}"]
    return "\n\n".join(parts)


def _regret_table(results: Results, name: str) -> str:
    table = load_table(name)
    exact = [f"{table.random_search_regret(queries):.3f}" for queries in QUERIES]
    lines = [
        "| row | seeds | " + " | ".join(map(str, QUERIES)) + " | random search needs |",
        "|---|---|" + "---|" * (len(QUERIES) + 1),
        "| random search, expected | | " + " | ".join(exact) + " | 100 |",
    ]
    for row in results.rows:
        means = [results.regret(row, name, queries) for queries in QUERIES]
        seeds = max((mean.seeds for mean in means if mean), default=0)
        needed = "-"
        if (at_100 := results.regret(row, name, 100)) is not None:
            queries_needed = table.random_search_queries(at_100.value)
            needed = str(queries_needed) if queries_needed else f"> {table.space.size}"
        if seeds:
            cells = [str(mean) if mean else "-" for mean in means]
            lines.append(f"| {row} | {seeds} | " + " | ".join(cells) + f" | {needed} |")
    return "\n".join(lines)


def _cost_table(results: Results) -> str:
    lines = ["| row | ms for ask + tell, mean | over queries of one search |", "|---|---|---|"]
    lines += [f"| {row} | {ms:.2f} | {queries} |" for row, (ms, queries) in results.milliseconds.items()]
    return "\n".join(lines)


def _check_table(found: Sequence[Check]) -> str:
    lines = ["| goal | " + " | ".join(TABLE_NAMES) + " | must | aim |", "|---|" + "---|" * (len(TABLE_NAMES) + 2)]
    lines += [f"| {' | '.join((check.goal, *check.cells, check.must, check.aim))} |" for check in found]
    return "\n".join(lines)


def write_section(path: Path, text: str) -> None:
    """Put the text between the two markers of a file, which are appended if it has none."""
    before, found, rest = path.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2] if found else "\n"
    path.write_text(f"{before.rstrip()}\n\n{BEGIN}\n{text}\n{END}{after}", "utf-8")


def plot(results: Results, default: str, path: Path) -> None:
    """Regret against queries, one panel for each table; bands of one standard error."""
    figure = Figure(figsize=(13, 9), layout="constrained")
    panels = figure.subplots(2, 2).flat
    for axes, name in zip(panels, TABLE_NAMES, strict=True):
        _panel(axes, results, name, default)
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=80)


def _panel(axes: Axes, results: Results, name: str, default: str) -> None:
    table = load_table(name)
    lowest = np.inf
    for index, row in enumerate(results.rows):
        queries, means, errors = results.curve(row, name)
        if not len(queries):
            continue
        theirs = row.startswith(("optuna-", "kt-"))
        color = colormaps["tab20"](index % 20)
        style, width = "--" if theirs else "-", 2.6 if row == default else 1.3
        axes.plot(queries, means, label=row, color=color, linestyle=style, linewidth=width)
        axes.fill_between(queries, means - errors, means + errors, color=color, alpha=0.15, linewidth=0)
        lowest = min(lowest, means[means > 0].min(initial=np.inf))
    grid = np.arange(5, max(QUERIES) + 1, 5)
    expected = [table.random_search_regret(int(queries)) for queries in grid]
    axes.plot(grid, expected, label="random search, expected", color="black", linestyle=":", linewidth=1.6)
    if table.floor > 0:
        axes.axhline(table.floor, label="floor", color="gray", linewidth=0.8)
    axes.set(
        title=TITLES[name], xlabel="queries", ylabel="regret, accuracy points", yscale="log", xlim=(5, max(QUERIES))
    )
    axes.set_ylim(0.8 * min(lowest, *expected), 1.2 * max(expected))
    axes.grid(visible=True, which="both", alpha=0.2)
