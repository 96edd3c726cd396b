"""Reads Markdown: code blocks, headings and links."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?)(?: +\{#([\w-]+)\})?$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        line: The number of its first line.
        language: The word after the fence.
        code: What it says, without the indentation that it has in a list or a docstring.
    """

    line: int
    language: str
    code: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks in their order."""
    return [
        Block(text.count("\n", 0, found.start()) + 2, found[2], textwrap.dedent(found[3]))
        for found in FENCE.finditer(text)
    ]


def links(text: str) -> Iterator[str]:
    """The targets of links and pictures outside code."""
    prose = INLINE_CODE.sub(lambda found: " " * len(found[0]), FENCE.sub("", text))
    return (found[1] for found in LINK.finditer(prose))


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as Python-Markdown makes them."""
    return {named or slug(title) for title, named in HEADING.findall(FENCE.sub("", text))}


def slug(title: str) -> str:
    """The anchor of a heading without one of its own."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it. Links into the net are not followed."""
    found = []
    for target in links(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        if not path.is_file() or (anchor and anchor not in anchors(path.read_text("utf-8"))):
            found.append(target)
    return found
