"""The picture of the image benchmark: test accuracy of the file against its size."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from results_table import FLOAT

EXPERT = "expert"
COLUMNS = 3  # of panels
LABELS = {
    "ours": "automl_keras",
    "planned": "automl_keras, max_trials=1",
    "no_search": "no search",
    "mixed": "automl_keras, quantization='mixed'",
    "joint": "automl_keras, quantization='joint'",
    "random": "random architecture",
    "kt_random": "Keras-Tuner, random search",
    "kt_hyperband": "Keras-Tuner, Hyperband",
    "autokeras": "AutoKeras, one trial",
}

Points = dict[str, list[tuple[float, float]]]  # kB and accuracy of each seed, by task
Panel = dict[str, Points]  # by system


def panels(lines: Iterable[Mapping[str, str]]) -> dict[str, Panel]:
    """The points of files by "dataset-seconds", by system (with `FLOAT` for float32 files), by task."""
    found: dict[str, Panel] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in lines:
        if line["file"] == "-":
            continue
        system, _, task = line["row"].partition("-")
        kind = FLOAT if task.endswith(FLOAT) else ""
        task = task.removesuffix(FLOAT)
        panel = "-".join(task.split("-")[:2])
        found[panel][system + kind][task].append((float(line["kB"]), float(line["file"])))
    return dict(sorted(found.items()))


def experts(lines: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """Mean accuracy of the expert's float network by data set."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        system, _, dataset = line["row"].partition("-")
        if system == EXPERT:
            found[dataset].append(float(line["keras"]))
    return {dataset: float(np.mean(values)) for dataset, values in found.items()}


def plot(lines: Iterable[Mapping[str, str]], path: Path) -> None:
    """One panel for each data set and time, one curve for each system over its budgets.

    Points are means over the seeds, with bars of one standard deviation. Files of float32 are hollow.
    """
    lines = list(lines)
    expert, drawn = experts(lines), panels(lines)
    rows = -(-len(drawn) // COLUMNS)
    figure = Figure(figsize=(15, 4.6 * rows), layout="constrained")
    for index, (name, panel) in enumerate(drawn.items()):
        axes = figure.add_subplot(rows, COLUMNS, index + 1)
        dataset, seconds = name.split("-")
        _draw(axes, panel, expert.get(dataset))
        axes.set(title=f"{dataset}, {seconds} s", xlabel="kB", ylabel="test accuracy of the file", xscale="log")
        axes.grid(visible=True, which="both", alpha=0.2)
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=80)


def _draw(axes: Axes, panel: Panel, expert: float | None) -> None:
    for system, points in panel.items():
        base = system.removesuffix(FLOAT)
        seeds = sorted(points.values(), key=lambda values: np.mean(values, axis=0)[0])
        size, accuracy = np.array([np.mean(values, axis=0) for values in seeds]).T
        size_error, accuracy_error = np.array([np.std(values, axis=0) for values in seeds]).T
        axes.errorbar(
            size,
            accuracy,
            xerr=size_error,
            yerr=accuracy_error,
            label=LABELS[base] + (", float32" if base != system else ""),
            color=colormaps["tab10"](list(LABELS).index(base)),
            marker="o",
            markerfacecolor="white" if base != system else None,
            linewidth=2.2 if base == "ours" else 1.2,
            capsize=2,
        )
    if expert is not None:
        axes.axhline(expert, label="expert's network, float, own time", color="black", linestyle=":", linewidth=1.2)
