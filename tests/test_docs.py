import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_page_of_tuners_is_up_to_date() -> None:
    page = (DOCS / "tuners.md").read_text()
    assert runpy.run_path(str(DOCS / "make_tuners_page.py"))["page"](page) == page
