"""Arguments that several commands share, and what their texts mean."""

from __future__ import annotations

import math
import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_keras.errors import InvalidArgumentError

if TYPE_CHECKING:
    from automl_keras.evaluation import Budget

SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
DATA_HELP = (
    "a folder with one sub-folder of images for each class; an .npz file with the arrays {arrays}; "
    'or the word "digits" for {digits} of scikit-learn\'s digits'
)

# Names and types of the limits of `Budget`.
LIMITS: dict[str, tuple[type, str, str]] = {
    "max_size_kb": (float, "KB", "size of the file, in kB of 1,000 bytes"),
    "max_latency_ms": (float, "MS", "time for one image on this machine, in milliseconds"),
    "max_macs": (int, "N", "multiply-accumulate operations for one image"),
    "max_params": (int, "N", "number of weights"),
    "max_ram_kb": (float, "KB", "peak memory of the activations, in kB"),
    "max_bit_ops": (int, "N", "MACs times bits of weights times bits of activations"),
}


def duration(text: str) -> float:
    """Seconds from texts such as "90", "90s", "5m", "1.5h"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    seconds = float(match[1]) * SECONDS[match[2]] if match else 0.0
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"a duration must look like 90, 90s, 5m or 1h. Received: {text!r}")
    return seconds


def counts(text: str) -> list[int]:
    """Whole numbers of at least 1, from a text such as "1,2,4"."""
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise ArgumentTypeError(f"whole numbers must look like 1,2,4. Received: {text!r}")
    return numbers


def add_budget(parser: ArgumentParser) -> None:
    """One option for each limit of a device."""
    group = parser.add_argument_group("limits of the device")
    for name, (kind, metavar, text) in LIMITS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=f"most: {text}")


def budget_of(options: Namespace) -> Budget:
    """The limits that were given.

    Raises:
        InvalidArgumentError: If one is not positive and finite.
    """
    from automl_keras.evaluation import Budget

    return Budget(**{name: getattr(options, name) for name in LIMITS})


def add_out(parser: ArgumentParser, *, required: bool) -> None:
    """Where the file goes."""
    parser.add_argument("--out", type=Path, required=required, metavar="FILE", help="where to write the .tflite file")


def check_out(out: Path | None) -> None:
    """Refuse, before any work, a file that could not be written after it.

    Raises:
        InvalidArgumentError: If it is a folder, or its folder is none or cannot be written to.
    """
    if out is None:
        return
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InvalidArgumentError(f"`--out` must be a file in a folder that can be written to. Received: --out {out}")


def add_app(parser: ArgumentParser) -> None:
    """What an app wants of the file."""
    app = parser.add_argument_group("an app")
    app.add_argument(
        "--input",
        choices=("native", "rgb_uint8", "rgb_float32"),
        default="native",
        help="what the file takes: images as the fit got them; or red, green and blue, for MediaPipe Tasks",
    )
    app.add_argument(
        "--android-project",
        type=Path,
        metavar="DIR",
        help="folder with app/src/main, into whose assets file and labels are copied as well",
    )


def check_app(options: Namespace) -> None:
    """Refuse, before any work, what could not be exported after it.

    Raises:
        InvalidArgumentError: If there is no file to export, or the Android project has no `app/src/main`.
    """
    if options.out is None and (options.input != "native" or options.android_project is not None):
        raise InvalidArgumentError("`--input` and `--android-project` must come with `--out`. Received: no --out")
    if options.android_project is not None:
        from automl_keras.export.android import check_android_project

        check_android_project(options.android_project)


def architecture_text(architecture: Any) -> str:
    """The decisions of a network, in a line."""
    return ", ".join(f"{name}={value}" for name, value in architecture.items())
