"""Where measured latency tables are kept, and what they are filed under."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

CPU_FIELDS = ("model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant", "Hardware")


def cpu_name() -> str:
    """The processor of this machine, as exactly as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]
    # Cores may differ, as on a phone: every kind of core is named once.
    named = dict.fromkeys(f"{field[0]} {field[1]}" for field in fields if field[0] in CPU_FIELDS)
    return ", ".join([platform.machine(), *(named or {platform.processor(): None})])


def cache_path(folder: str | Path | None, runtime: str, device: str) -> Path:
    """The file of the table of a runtime and a device.

    Args:
        folder: Where tables are kept; the user's cache directory by default.
        runtime: Name and version of the runtime.
        device: Name of the processor.
    """
    name = hashlib.sha256(f"{runtime}\n{device}".encode()).hexdigest()[:16]
    return (user_cache_folder() if folder is None else Path(folder)) / f"latency_{name}.json"


def user_cache_folder() -> Path:
    """The folder for this package in the user's cache directory, as each system has it."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "automl_keras"


def replace_text(target: Path, text: str) -> None:
    """Write a file under a temporary name that then replaces it: there is the old one or the new one."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
