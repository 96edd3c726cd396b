"""Writes the tables of docs/tuners.md and docs/weight_sharing.md: `python docs/make_tuners_page.py`."""

import re
from pathlib import Path

from automl_keras.tuners import CATALOGUE, DEFAULT_STRATEGY, SYSTEMS

PAGE = Path(__file__).resolve().parent / "tuners.md"
RESULTS = PAGE.parent.parent / "benchmarks" / "RESULTS.md"
PAGES = (PAGE, PAGE.with_name("weight_sharing.md"))
SYSTEMS_BEGIN, SYSTEMS_END = "<!-- systems: from docs/make_tuners_page.py -->", "<!-- end of the systems -->"
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
        is_asked = name in SYSTEMS and SYSTEMS[name].training == "sandwich"
        shared = f'`ImageClassifier(tuner="{name}")`' if is_asked else "[a system of its own](weight_sharing.md)"
        title = f"**{name}** (default)" if name == DEFAULT_STRATEGY else name
        classes = f"`{row.strategy.__name__}`, `{row.oracle.__name__}`"
        lines.append(
            f"| {title} | {classes} | {row.idea} | {row.searches} | {shared} | {row.evaluations} | {costs[name]} "
            f"| {row.reference} |"
        )
    return "\n".join(lines)


def systems_table() -> str:
    """One row for each system that is more than a strategy asking a sandwich-trained supernet."""
    lines = ["| name | what it does | supernet of | paper |", "|---|---|---|---|"]
    spaces = {"image": "the image space", "macro": "ENAS's macro space"}
    for name, system in SYSTEMS.items():
        if system.training != "sandwich":
            lines.append(f"| {name} | {system.description} | {spaces[system.space]} | {system.reference} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """`text` with the tables between their marks renewed."""
    for begin, end, make in ((BEGIN, END, table), (SYSTEMS_BEGIN, SYSTEMS_END, systems_table)):
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{begin}\n{make()}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(page(path.read_text()))
