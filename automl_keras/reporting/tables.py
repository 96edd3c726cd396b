"""`format_table`: rows of values as aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

GAP = "  "


def format_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> str:
    """A plain text table with a header.

    Columns of numbers are aligned to the right, others to the left. Floats are shortened to four
    significant digits, or to a whole number from 1,000 on; `None` and absent values are a "-".

    Args:
        rows: Column name to value, for each row.
        columns: The columns to show, in this order. `None` for all, in the order in which they first appear.

    Returns:
        Lines of text without a newline at the end; "" if there are no columns.
    """
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
    texts = []
    for name in columns:
        values = [row.get(name) for row in rows]
        cells = [name, *map(_text, values)]
        width = max(map(len, cells))
        is_numeric = all(value is None or _is_number(value) for value in values)
        cells = [cell.rjust(width) if is_numeric else cell.ljust(width) for cell in cells]
        texts.append([cells[0], "-" * width, *cells[1:]])
    return "\n".join(GAP.join(line).rstrip() for line in zip(*texts, strict=True))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Real) and not isinstance(value, bool | Integral):
        number = float(value)
        return f"{number:.0f}" if 1e3 <= abs(number) < 1e9 else f"{number:.4g}"
    return " ".join(str(value).split())  # an error message of several lines stays in its row
