"""What the figures made with matplotlib have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
LONGEST = 24  # letters of a name beside an axis
# Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008).
DARK, LIGHT, ACCENT, GREY = "#0072b2", "#a9cfe8", "#d55e00", "#555555"


def new_figure(width: int, height: int) -> Figure:
    """A figure of so many pixels; without pyplot, so nothing is kept."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")


def plain_axes(figure: Figure, title: str, x_label: str = "", y_label: str = "") -> Axes:
    """Axes with a light grid and no frame above and on the right."""
    return styled(figure.add_subplot(), title, x_label, y_label)


def styled(axes: Axes, title: str = "", x_label: str = "", y_label: str = "") -> Axes:
    """The same for axes that are there already."""
    axes.set_title(title, fontsize=14)
    axes.set_xlabel(x_label, fontsize=12)
    axes.set_ylabel(y_label, fontsize=12)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def literal(text: str) -> str:
    """Text that matplotlib shows as it is: a dollar would begin a formula."""
    return text.replace("$", r"\$")


def short(name: object, most: int = LONGEST) -> str:
    """The name of a class in one line, cut off where it would cover the figure."""
    line = " ".join(str(name).split())
    return line if len(line) <= most else f"{line[: most - 1]}\u2026"
