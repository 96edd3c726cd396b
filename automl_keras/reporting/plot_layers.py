"""Figures of a `.tflite` file: its layers, and the bits of their weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting.figures import ACCENT, DARK, GREY, literal, new_figure, plain_axes
from automl_keras.reporting.file_layers import FileLayer
from automl_keras.reporting.skips import skip_lanes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BIT_COLORS = {2: "#e69f00", 4: "#cc79a7", 8: "#0072b2", 16: "#009e73", 32: "#999999"}
LINE = "#bbbbbb"
ROW, WIDTH = 50, 360  # pixels
HALF = 0.37  # of the height of a box, in rows
LANE = 0.045  # between two skip connections, in widths of a box
MOST_ROWS = 600  # a PNG has to end somewhere


def plot_bits(layers: Sequence[FileLayer], path: str | os.PathLike[str]) -> None:
    """Draw the size of each layer's weights, coloured by their bits, as a PNG 900 pixels wide.

    Args:
        layers: As `read_layers` gives them.
        path: The file to write; an existing one is replaced.

    Raises:
        InvalidArgumentError: If no layer has weights.
    """
    weighted = [layer for layer in layers if layer.bits is not None]
    if not weighted:
        raise InvalidArgumentError(f"`layers` must hold one with weights. Received: {len(layers)} without")
    figure = new_figure(900, 160 + 28 * len(weighted))
    axes = plain_axes(figure, "Bits per layer", "Weights (kB)")
    for bits in sorted({layer.bits for layer in weighted if layer.bits is not None}):
        chosen = [(place, layer) for place, layer in enumerate(weighted) if layer.bits == bits]
        sizes = [layer.num_weights * bits / 8000 for _, layer in chosen]
        bars = axes.barh([place for place, _ in chosen], sizes, color=BIT_COLORS.get(bits, GREY), label=f"{bits} bits")
        axes.bar_label(bars, [f"{layer.num_weights:,}" for _, layer in chosen], padding=4, fontsize=9)
    axes.set_yticks(range(len(weighted)), [literal(layer.name) for layer in weighted])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, format="png")


def plot_network(layers: Sequence[FileLayer], path: str | os.PathLike[str]) -> None:
    """Draw the layers of a file from the image down, skip connections on their left, as a PNG.

    Args:
        layers: As `read_layers` gives them, at most 600.
        path: The file to write; an existing one is replaced.

    Raises:
        InvalidArgumentError: If there are no layers, or too many.
    """
    if not 0 < len(layers) <= MOST_ROWS:
        raise InvalidArgumentError(f"`layers` must be 1 to {MOST_ROWS}. Received: {len(layers)} layers")
    lanes = skip_lanes(layers)
    left = -LANE * (max((lane for _, _, lane in lanes), default=0) + 2)
    figure = new_figure(round(WIDTH * (1.05 - left)), ROW * (len(layers) + 1) + 20)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(left, 1.05), ylim=(len(layers) - 0.4, -1.6))  # a box is 1 wide, one row is 1 high
    axes.set_axis_off()
    _box(axes, -1, "Image", GREY)
    for place, layer in enumerate(layers):
        _box(axes, place, _words(layer), LINE if layer.bits is None else DARK)
        if place - 1 in layer.inputs:
            _arrow(axes, (0.5, place - 1 + HALF), (0.5, place - HALF), GREY)
    for source, target, lane in lanes:
        # Out below the middle and in above it: one that ends at a box does not run into one that begins there.
        x, start, end = -LANE * (lane + 1), source + HALF / 2, target - HALF / 2
        axes.plot([0.0, x, x], [start, start, end], color=ACCENT, linewidth=1.2)
        _arrow(axes, (x, end), (0.0, end), ACCENT)
    figure.savefig(path, format="png")


def _box(axes: Axes, place: int, words: str, color: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((0.0, place - HALF), 1.0, 2 * HALF, facecolor="white", edgecolor=color))
    axes.text(0.5, place, words, ha="center", va="center", fontsize=8.5)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str) -> None:
    style = {"arrowstyle": "->", "color": color, "shrinkA": 0.0, "shrinkB": 0.0}
    axes.annotate("", end, start, arrowprops=style)


def _words(layer: FileLayer) -> str:
    shape = " x ".join(map(str, layer.shape))
    weights = "" if layer.bits is None else f", {layer.num_weights:,} weights of {layer.bits} bits"
    return f"{layer.kind} {layer.window}".rstrip() + f"\n{shape}{weights}"
