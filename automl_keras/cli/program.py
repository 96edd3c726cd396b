"""`main`: parses arguments, runs a command and prints its answer.

A command is one file with a `COMMAND`, and one entry in `COMMANDS`.
"""

from __future__ import annotations

import os
import sys
import warnings
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from io import TextIOWrapper
from typing import TextIO

from automl_keras.cli import bench, evaluate, fit, inspect, predict, quantize, report, specialize, trials
from automl_keras.cli.command import INTERRUPTED, PROGRAM, REFUSED, Answer, Command
from automl_keras.cli.output import to_json
from automl_keras.errors import AutoMLError

COMMANDS: tuple[Command, ...] = (
    fit.COMMAND,
    predict.COMMAND,
    evaluate.COMMAND,
    specialize.COMMAND,
    quantize.COMMAND,
    report.COMMAND,
    inspect.COMMAND,
    bench.COMMAND,
    trials.COMMAND,
)

SUMMARY = "Finds an image classifier that fits your phone and exports it as a measured .tflite file."
EXIT_CODES = """exit codes:
  0    done
  1    an argument was refused, or the work failed; standard error says why
  2    `inspect` found a broken part, or the arguments could not be parsed
  130  ended by Ctrl-C"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the command line.

    Args:
        argv: The arguments without the program's name; `None` for those of this process.

    Returns:
        The exit code: 0 if all is well, 1 if an argument was refused or the work failed, 2 if `inspect` found a
        broken part, 130 after Ctrl-C.

    Raises:
        SystemExit: After `--help`, and with code 2 if the arguments cannot be parsed.
    """
    options = make_parser().parse_args(argv)
    try:
        with _all_letters():
            answer = _answer(options)
            text = to_json(answer.facts) if options.json else answer.text
            if text:
                print(text, flush=True)
    except BrokenPipeError:  # the reader of the pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python writes the rest at its end
        return REFUSED
    return answer.code


def make_parser() -> ArgumentParser:
    """The parser of all commands; what it returns has the `Command` as `command`."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description=SUMMARY,
        epilog=f"{_examples(command.examples[0] for command in COMMANDS)}\n\n{EXIT_CODES}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    words = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        word = words.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog=_examples(command.examples),
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,  # an option that is added later must not change what a script means
        )
        command.add_arguments(word)
        word.add_argument(
            "--json",
            action="store_true",
            help="print one JSON object and no more; progress goes to standard error",
        )
        word.set_defaults(command=command)
    return parser


def _examples(lines: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def _answer(options: Namespace) -> Answer:
    """What the command found out, or why it did not, which standard error says too."""
    command: Command = options.command
    try:
        with redirect_stdout(sys.stderr) if options.json else nullcontext(), _plain_warnings(command):
            return command.run(options)
    except BrokenPipeError:
        raise
    except (AutoMLError, OSError) as error:
        reason, code = str(error), REFUSED
    except KeyboardInterrupt as interrupt:
        reason, code = str(interrupt) or "interrupted", INTERRUPTED
    print(f"{PROGRAM} {command.name}: {reason}", file=sys.stderr)
    return Answer({"error": reason}, "", code)


@contextmanager
def _all_letters() -> Iterator[None]:
    """Names of files and classes are printed whatever letters they have: what the encoding has not becomes "\\xff"."""
    stream = sys.stdout
    if not isinstance(stream, TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(BrokenPipeError):  # it is told where the text is printed
            stream.reconfigure(errors=before)


@contextmanager
def _plain_warnings(command: Command) -> Iterator[None]:
    """Warnings as sentences: to someone at a shell the line of code that gave one says nothing."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"{PROGRAM} {command.name}: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
