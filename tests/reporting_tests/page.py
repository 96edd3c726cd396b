"""Reads an HTML page strictly, as a browser would not."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"br", "circle", "col", "img", "line", "link", "meta", "path", "polyline", "rect"}


class Page(HTMLParser):
    """Elements of a page with their attributes and texts; an element that is not closed in its turn is an error.

    Attributes:
        elements: Name, attributes and text of each, in the order they begin.
        data: What is embedded as JSON.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(path.read_text("utf-8"))
        assert not self._open
        self.data: dict[str, Any] = json.loads(self.text("report-data"), parse_constant=self._refuse)

    @staticmethod
    def _refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attributes}) == len(attributes), (tag, attributes)
        texts: list[str] = []
        self.elements.append((tag, dict(attributes), texts))
        if tag not in VOID:
            self._open.append((tag, texts))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        for _, texts in self._open:
            texts.append(data)

    def find(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of all elements of a name."""
        return [(attributes, "".join(texts)) for name, attributes, texts in self.elements if name == tag]

    def text(self, identifier: str) -> str:
        """The text of the element with an id."""
        [found] = [texts for _, attributes, texts in self.elements if attributes.get("id") == identifier]
        return "".join(found)

    def values(self, name: str) -> list[float]:
        """The numbers in attributes `data-value` of elements with `data-name`; NaN where there is none."""
        return [
            float(attributes.get("data-value") or "nan")
            for _, attributes, _ in self.elements
            if attributes.get("data-name") == name
        ]
