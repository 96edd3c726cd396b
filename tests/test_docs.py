import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_tables_of_tuners_and_systems_are_up_to_date() -> None:
    script = runpy.run_path(str(DOCS / "make_tuners_page.py"))
    for path in script["PAGES"]:
        assert script["page"](path.read_text()) == path.read_text(), path.name
