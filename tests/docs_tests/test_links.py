from pathlib import Path

import pytest

from tests.docs_tests.markdown import DOCS, PAGES, ROOT, broken_links, links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_resolve(page: Path) -> None:
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title, with `code`\n\n[file](other.md) [here](#a-title-with-code) [gone](#gone) `[code](no.md)`\n"
        "![picture](none.png) [net](https://example.org/none)\n\n```\n[block](no.md)\n```\n"
    )
    assert broken_links(page) == ["other.md", "#gone", "none.png"]


def test_every_page_is_in_the_menu() -> None:
    """Strict mode says the same, where mkdocs is installed."""
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = [line.rpartition(" ")[2] for line in menu.splitlines() if line.endswith(".md")]
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_pages_of_the_site_link_to_nothing_outside_of_it() -> None:
    outside = [
        (page.name, link) for page in DOCS.rglob("*.md") for link in links(page.read_text("utf-8")) if "../.." in link
    ]
    assert outside == []
