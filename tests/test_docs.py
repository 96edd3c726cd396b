import re
import runpy
from pathlib import Path

import pytest

import automl_keras

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
QUERIES = 100
IN_RESULTS = {"bayesian, the default": "bayesian", "Optuna, multivariate TPE": "optuna-tpe-multivariate"}


def test_the_tables_of_tuners_and_systems_are_up_to_date() -> None:
    script = runpy.run_path(str(DOCS / "make_tuners_page.py"))
    for path in script["PAGES"]:
        assert script["page"](path.read_text()) == path.read_text(), path.name


def regrets(results: str) -> dict[str, list[str]]:
    """For each row of the tables of regret its mean after `QUERIES` queries, table by table."""
    found: dict[str, list[str]] = {}
    tables = results.partition("## Strategies on published tables")[2].partition("### Time per query")[0]
    for table in tables.split("\n### ")[1:]:
        header = re.search(r"^\| row \|.*$", table, re.MULTILINE)
        assert header is not None
        column = [cell.strip() for cell in header[0].split("|")].index(str(QUERIES))
        for line in table.splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if " ± " in line:
                found.setdefault(cells[1], []).append(cells[column].partition(" ")[0])
    return found


def test_the_table_of_strategies_is_that_of_the_results() -> None:
    section = (DOCS / "benchmarks.md").read_text().partition("## Strategies")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    measured = regrets(RESULTS.read_text())
    told = {IN_RESULTS.get(name, name): values for name, *values in rows[2:]}
    assert len(told) == 6
    assert told == {name: measured[name] for name in told}


@pytest.mark.parametrize("number", ["0.917 | 0.918 | 0.912", "0.994 | 0.994 | 0.992", "0.908 | 0.908 | 0.897"])
def test_the_table_of_accuracies_is_that_of_the_readme_and_of_the_results(number: str) -> None:
    assert number in (DOCS / "benchmarks.md").read_text()
    assert number in (ROOT / "README.md").read_text()
    first, second, third = number.split(" | ")
    assert f"{first}, {second} and {third}" in " ".join(RESULTS.read_text().split())


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {automl_keras.__version__}\n" in (ROOT / "CITATION.cff").read_text()
