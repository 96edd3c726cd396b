"""What Ctrl-C must not leave half done."""

from __future__ import annotations

from collections.abc import Callable


def uninterrupted(work: Callable[[], None]) -> None:
    """Do short work that may be done again: if Ctrl-C comes meanwhile, it is begun anew, until it is done."""
    while True:
        try:
            work()
        except KeyboardInterrupt:
            continue
        return
