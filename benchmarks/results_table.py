"""Tables of RESULTS.md to which finished runs are appended."""

import datetime
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
RESULTS = BENCHMARKS / "RESULTS.md"
FLOAT = " float32"  # behind the name of a row: the line of the float32 file of the same network


class ResultsTable:
    """One table of a Markdown file, found by its header, one line for each run.

    Args:
        path: The file.
        columns: The headers: "row", "seed", names of results, "date" and "commit".
        before: Text to write in front of the table where the file has none yet.
        after: Text to write behind it then.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, before: str = "", after: str = "") -> None:
        self.path = path
        self.columns = tuple(columns)
        self._before, self._after = before, after
        self._header = _line(columns)

    def lines(self) -> list[dict[str, str]]:
        """The lines of the table, texts by column."""
        text = self._text()
        begin, end = self._place(text)
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text[begin:end]]
        return [dict(zip(self.columns, values, strict=True)) for values in cells]

    def finished(self) -> set[tuple[str, int]]:
        """The rows and seeds that are in the table."""
        return {(line["row"], int(line["seed"])) for line in self.lines()}

    def append(self, row: str, seed: int, result: Mapping[str, Any]) -> None:
        """Write one line at the end of the table, with today's date and the commit."""
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        values = {**result, "row": row, "seed": seed, "date": date, "commit": _revision(self.path)}
        line = _line([_cell(values.get(column)) for column in self.columns])
        text = self._text()
        if self._header not in text:
            separator = "|" + "---|" * len(self.columns)
            text += ["", *self._before.splitlines(), self._header, separator, *self._after.splitlines()]
        _, end = self._place(text)
        text.insert(end, line)
        self.path.write_text("\n".join(text) + "\n", "utf-8")

    def _text(self) -> list[str]:
        return self.path.read_text("utf-8").splitlines() if self.path.exists() else []

    def _place(self, text: list[str]) -> tuple[int, int]:
        """Where the lines of the table begin, and where they end."""
        if self._header not in text:
            return 0, 0
        begin = end = text.index(self._header) + 2
        while end < len(text) and text[end].startswith("|"):
            end += 1
        return begin, end


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _revision(results: Path) -> str:
    """The commit, marked if sources (not the results) differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=BENCHMARKS, check=False)
        return done.stdout.strip()

    excluded = f":(exclude,top)benchmarks/{results.name}"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", excluded)
    return (git("rev-parse", "--short", "HEAD") or "-") + ("-dirty" if changed else "")
