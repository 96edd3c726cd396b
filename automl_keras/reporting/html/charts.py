"""Charts as SVG. Colours are classes of the page's style, so that they suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from automl_keras.reporting.html.elements import Markup, element, join

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 46


@dataclass(frozen=True)
class Axes:
    """A plane of two axes.

    Attributes:
        x_range: `(smallest, largest)` value across.
        y_range: `(smallest, largest)` value upwards.
        width: Of the chart with its labels, in the units of the drawing.
        height: Likewise.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: int = WIDTH
    height: int = HEIGHT

    def x(self, value: float) -> float:
        """Where a value is across."""
        return round(LEFT + _share(value, self.x_range) * (self.width - LEFT - RIGHT), 2)

    def y(self, value: float) -> float:
        """Where a value is upwards."""
        return round(self.height - BOTTOM - _share(value, self.y_range) * (self.height - TOP - BOTTOM), 2)

    def frame(self, x_label: str, y_label: str) -> Markup:
        """Grid, ticks and names of the axes."""
        parts = []
        for value in ticks(*self.y_range):
            parts.append(line(LEFT, self.y(value), self.width - RIGHT, self.y(value), "grid"))
            parts.append(text(LEFT - 6, self.y(value) + 4, f"{value:g}", "tick end"))
        for value in ticks(*self.x_range):
            parts.append(text(self.x(value), self.height - BOTTOM + 17, f"{value:g}", "tick middle"))
        parts.append(line(LEFT, self.y(self.y_range[0]), self.width - RIGHT, self.y(self.y_range[0]), "axis"))
        parts.append(text((LEFT + self.width - RIGHT) / 2, self.height - 8, x_label, "label middle"))
        middle = (TOP + self.height - BOTTOM) / 2
        parts.append(text(14, middle, y_label, "label middle", transform=f"rotate(-90 14 {middle:g})"))
        return join(parts)


def chart(content: Iterable[Markup], alt: str, *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """A drawing.

    Args:
        content: What it consists of.
        alt: What it shows, for those who cannot see it.
        width: In the units of the drawing.
        height: Likewise.
    """
    return element(
        "svg", *content, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img", aria_label=alt
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, content: str, class_: str, transform: str | None = None) -> Markup:
    """A line of text."""
    return element("text", content, x=x, y=y, class_=class_, transform=transform)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    return element("polyline", points=" ".join(f"{x:g},{y:g}" for x, y in points), class_=class_)


def ticks(smallest: float, largest: float, count: int = 5) -> list[float]:
    """About so many round numbers in a range: steps of 1, 2 or 5 times a power of ten."""
    rough = (largest - smallest) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    first, last = math.ceil(smallest / step - 1e-9), math.floor(largest / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """A range around finite values, with some room on both sides."""
    known = list(values)
    smallest, largest = min(known), max(known)
    room = share * (largest - smallest) or max(abs(largest) * share, 1e-3)
    return smallest - room, largest + room


def _share(value: float, limits: tuple[float, float]) -> float:
    return (value - limits[0]) / (limits[1] - limits[0])
