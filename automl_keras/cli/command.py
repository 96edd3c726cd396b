"""`Command`: one word of the command line; and `Answer`, what it found out.

Modules of commands are imported to parse arguments: what is slow to import, they import when they run.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PROGRAM = "automl-keras"

DONE = 0
REFUSED = 1  # an argument was refused, or the work failed
BROKEN = 2  # `inspect` found a broken part; argparse ends with it too if it cannot parse the arguments
INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended


@dataclass(frozen=True)
class Answer:
    """What a command found out.

    Attributes:
        facts: For programs: becomes one JSON object.
        text: For people.
        code: The exit code.
    """

    facts: dict[str, Any]
    text: str
    code: int = DONE


@dataclass(frozen=True)
class Command:
    """One word of the command line.

    Attributes:
        name: The word.
        summary: One line of help.
        examples: Lines as one would type them, shown by `--help`.
        add_arguments: Declares the arguments.
        run: Does the work. It may print progress, but not its answer.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Answer]
