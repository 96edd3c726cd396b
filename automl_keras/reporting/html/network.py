"""The part of the report that draws the network as the phone runs it."""

from __future__ import annotations

from collections.abc import Sequence

from automl_keras.reporting.file_layers import FileLayer
from automl_keras.reporting.html.charts import chart, text
from automl_keras.reporting.html.elements import (
    TIMES,
    Markup,
    element,
    figure,
    join,
    number,
    number_cell,
    pair,
    section,
    table,
)
from automl_keras.reporting.skips import skip_lanes

ROW, GAP, BOX = 42, 12, 300  # height of a box, space between two, width
LANE = 12  # between two skip connections side by side
MARGIN = 10


def network_section(layers: Sequence[FileLayer]) -> Markup:
    """The layers of the file, what joins them, and the bits of their weights."""
    drawn = figure(drawing(layers), _caption(layers))
    bits = join([element("h3", "Bits per layer", id="bits"), _bits(layers)])
    return section("network", "The network", pair(drawn, bits))


def drawing(layers: Sequence[FileLayer]) -> Markup:
    """Boxes from the image down, in the order they run, and skip connections on their left."""
    lanes = skip_lanes(layers)
    left = MARGIN + LANE * (max((lane for _, _, lane in lanes), default=-1) + 1) + (8 if lanes else 0)
    width, height = left + BOX + MARGIN, (len(layers) + 1) * (ROW + GAP) + MARGIN
    middle = left + BOX / 2
    parts = [_box(left, 0, "Image", "", "image")]
    for place, layer in enumerate(layers):
        top = _top(place)
        if place - 1 in layer.inputs:
            parts.append(_arrow(middle, top - GAP, top))
        parts.append(_box(left, place + 1, _title(layer), _detail(layer), _class(layer)))
    for source, target, lane in lanes:
        parts.append(_skip(left, source, target, left - 8 - LANE * (lane + 1)))
    return chart(parts, _caption(layers), width=width, height=height)


def _bits(layers: Sequence[FileLayer]) -> Markup:
    weighted = [layer for layer in layers if layer.bits is not None]
    largest = max((_kilobytes(layer) for layer in weighted), default=1.0)
    rows = []
    for layer in weighted:
        share = 100 * _kilobytes(layer) / largest
        bar = element("span", class_=f"bar bits-{layer.bits}", style=f"left:0;width:{share:.2f}%")
        rows.append(
            (
                layer.name,
                number_cell(layer.bits, data_name="bits"),
                number_cell(layer.num_weights, data_name="num_weights"),
                number_cell(_kilobytes(layer)),
                element("td", element("span", bar, class_="track"), class_="bars"),
            )
        )
    total = number(sum(map(_kilobytes, weighted)), "kB")
    caption = f"Bits and size of the weights, {total} in all; biases and scales come on top"
    return table(("Layer", "Bits", "Weights", "kB", "Size"), rows, caption, class_="wide")


def _kilobytes(layer: FileLayer) -> float:
    return layer.num_weights * (layer.bits or 0) / 8000


def _caption(layers: Sequence[FileLayer]) -> str:
    joined = len(skip_lanes(layers))
    skips = "no skip connection" if joined == 0 else f"{joined} skip connection{'' if joined == 1 else 's'}"
    weights = number(sum(layer.num_weights for layer in layers))
    return (
        f"{len(layers)} operations with {weights} weights and {skips}, as the file runs them; "
        "BatchNorm and ReLU are folded into the layers before them."
    )


def _title(layer: FileLayer) -> str:
    return f"{layer.kind} {layer.window}".rstrip()


def _detail(layer: FileLayer) -> str:
    shape = f" {TIMES} ".join(map(str, layer.shape))
    weights = "" if layer.bits is None else f"  ·  {number(layer.num_weights)} weights of {layer.bits} bits"
    return f"{shape}{weights}"


def _class(layer: FileLayer) -> str:
    return "plain" if layer.bits is None else "weighted"


def _top(place: int) -> float:
    return (place + 1) * (ROW + GAP) + MARGIN / 2


def _box(left: float, row: int, title: str, detail: str, class_: str) -> Markup:
    top = row * (ROW + GAP) + MARGIN / 2
    lines = [text(left + 12, top + (18 if detail else 26), title, "box-title")]
    if detail:
        lines.append(text(left + 12, top + 34, detail, "box-detail"))
    outline = element("rect", x=left, y=top, width=BOX, height=ROW, rx=6, class_=f"box {class_}")
    return element("g", outline, *lines)


def _arrow(x: float, start: float, end: float) -> Markup:
    return element("path", d=f"M{x:g} {start:g}V{end - 1:g}m-4 -5l4 5l4 -5", class_="arrow")


def _skip(left: float, source: int, target: int, x: float) -> Markup:
    start, end = (_top(place) + ROW / 2 for place in (source, target))
    curve = f"M{left:g} {start + 8:g}H{x + 6:g}q-6 0 -6 6V{end - 14:g}q0 6 6 6H{left - 1:g}m-5 -4l5 4l-5 4"
    return element("path", d=curve, class_="skip")
