"""Elements of HTML as text. All that is not `Markup` is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

TIMES, UNKNOWN, THIN_SPACE = "\u00d7", "\u2013", "\u202f"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


NUMBER = '<td class="number"'  # how cells of numbers begin
VOID = ("br", "circle", "col", "img", "line", "link", "meta", "path", "polyline", "rect")


def escape(value: object) -> Markup:
    """Anything as HTML: `Markup` as it is, the rest as text."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def join(parts: Iterable[object]) -> Markup:
    """Parts one after the other."""
    return Markup("".join(map(escape, parts)))


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: Its tag.
        children: What it holds.
        attributes: Of the tag. `_` stands for `-`, a trailing one is dropped; those with `None` are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def section(identifier: str, title: str, *children: object) -> Markup:
    """A part of the page with a heading that can be linked to."""
    heading = f"{identifier}-title"
    return element("section", element("h2", title, id=heading), *children, id=identifier, aria_labelledby=heading)


def pair(*parts: object) -> Markup:
    """Parts side by side where there is room."""
    return element("div", *(element("div", part) for part in parts), class_="pair")


def paragraph(*children: object, class_: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", *children, class_=class_)


def figure(content: Markup, caption: str) -> Markup:
    """A picture with what it shows."""
    return element("figure", scrolling(content, caption), element("figcaption", caption))


def scrolling(content: Markup, label: str) -> Markup:
    """A box in which content scrolls that is too wide or long, by keys too."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str, *, class_: str | None = None
) -> Markup:
    """A table that scrolls in its box where it is too wide or long. The first cell of a row is its heading.

    Args:
        columns: The headings.
        rows: Cells: values, or whole `td` elements.
        caption: What it shows.
        class_: Of the table.
    """
    cells = [[first, *map(_cell, rest)] for first, *rest in rows]
    numeric = [bool(cells) and str(cell).startswith(NUMBER) for cell in (cells[0] if cells else columns)]
    head = element(
        "tr",
        *(
            element("th", column, scope="col", class_="number" if is_number else None)
            for column, is_number in zip(columns, numeric, strict=True)
        ),
    )
    body = [element("tr", element("th", first, scope="row"), *rest) for first, *rest in cells]
    content = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_=class_
    )
    return scrolling(content, caption)


def number_cell(value: float | None, shown: str | None = None, **attributes: object) -> Markup:
    """A cell with a number: as people read it, and exact in the attribute `data-value`."""
    known = value is not None and math.isfinite(value)
    text = shown if shown is not None and known else number(value)
    return element(
        "td", text, class_="number", data_value=exact(value) if known and value is not None else None, **attributes
    )


def exact(value: float) -> str:
    """A number as Python writes it, so that it can be read back as it was."""
    return repr(value if isinstance(value, int) else float(value))


def number(value: float | None, unit: str = "") -> str:
    """A number as people read it: four digits, thousands apart; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    is_long = isinstance(value, int) or abs(value) >= 1000
    shown = f"{value:,.0f}".replace(",", THIN_SPACE) if is_long else f"{value:.4g}"
    return f"{shown} {unit}".rstrip()


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage; a dash where it is not known."""
    return UNKNOWN if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def finite(value: Any) -> Any:
    """JSON without NaN and infinity, which browsers refuse: they become null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> Markup:
    return value if isinstance(value, Markup) and value.startswith("<td") else element("td", value)
