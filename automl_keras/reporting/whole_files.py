"""`write_whole`: text that is in its file whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, beside the file under a temporary name that then replaces it.

    Raises:
        OSError: If it cannot be written. An earlier file is still there then.
    """
    target = Path(path)
    unfinished = target.with_name(f".unfinished_{target.name}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
