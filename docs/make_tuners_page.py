"""Writes the table of docs/tuners.md from the registry and the benchmark: `python docs/make_tuners_page.py`."""

import re
from pathlib import Path

from automl_keras.tuners import CATALOGUE, DEFAULT_STRATEGY, SYSTEMS

PAGE = Path(__file__).resolve().parent / "tuners.md"
RESULTS = PAGE.parent.parent / "benchmarks" / "RESULTS.md"
BEGIN, END = "<!-- table: from docs/make_tuners_page.py -->", "<!-- end of the table -->"


def measured_costs() -> dict[str, str]:
    """Mean milliseconds of `ask` and `tell` together, over 1,000 evaluations, as the tabular benchmark wrote them."""
    _, _, section = RESULTS.read_text().partition("### Time per query")
    return dict(re.findall(r"^\| (\S+) \| ([\d.]+) \| 1000 \|$", section, re.MULTILINE))


def table() -> str:
    """One row for each strategy."""
    costs = measured_costs()
    lines = [
        "| name | strategy, oracle | what it does | searches | with shared weights | evaluations | ms per ask "
        "| paper |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in CATALOGUE.items():
        shared = f'`ImageClassifier(tuner="{name}")`' if name in SYSTEMS else "no"
        title = f"**{name}** (default)" if name == DEFAULT_STRATEGY else name
        classes = f"`{row.strategy.__name__}`, `{row.oracle.__name__}`"
        lines.append(
            f"| {title} | {classes} | {row.idea} | {row.searches} | {shared} | {row.evaluations} | {costs[name]} "
            f"| {row.reference} |"
        )
    return "\n".join(lines)


def page(text: str) -> str:
    """`text` with the table between its marks renewed."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
