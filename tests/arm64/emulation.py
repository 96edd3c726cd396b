"""Python and LiteRT for ARM64 in a folder, run by qemu: no device, no container, no boot.

    python tests/arm64/emulation.py          # makes .arm64 once, about a minute and 350 MB; needs root

The processor is named: qemu's default, `-cpu max`, computed wrong results in int8 convolutions of LiteRT 2.1.0. LiteRT
is pinned to 2.1.6: 2.2.0 and 2.3.0 crash in qemu 7.2. Times measured in here mean nothing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / ".arm64"
RUN_FILES = Path(__file__).with_name("run_files.py")
QEMU, DEBOOTSTRAP = "qemu-aarch64-static", "debootstrap"
CPU = "cortex-a76"
RELEASE, PYTHON = "bookworm", "3.11"
DEBIAN_PACKAGES = (f"python{PYTHON}", f"libpython{PYTHON}-stdlib", "libstdc++6")
PACKAGES = ("ai-edge-litert==2.1.6", "numpy==2.4.1")
PLATFORMS = ("manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
SITE = Path("opt", "packages")
FINISHED = "finished"  # a file that says that everything is there


class EmulationError(Exception):
    """ARM64 cannot be emulated here; the text says what is missing."""


def make_root(root: Path = ROOT) -> Path:
    """Python and LiteRT for ARM64 in a folder; at once if they are there.

    Raises:
        EmulationError: If qemu or debootstrap is missing or fails.
    """
    missing = [tool for tool in (QEMU, DEBOOTSTRAP, "dpkg") if shutil.which(tool) is None]
    if missing:
        raise EmulationError(
            f"ARM64 is emulated by {QEMU} in a system made by {DEBOOTSTRAP}. Missing: {', '.join(missing)}. "
            "On Debian and Ubuntu: apt-get install qemu-user-static debootstrap"
        )
    if (root / FINISHED).is_file():
        return root
    if os.geteuid() != 0:
        raise EmulationError(f"debootstrap must run as root once, to make {root}: sudo make arm64")
    shutil.rmtree(root, ignore_errors=True)
    system = ("--foreign", "--variant=minbase", "--arch=arm64", f"--include={','.join(DEBIAN_PACKAGES)}", RELEASE, root)
    _run((DEBOOTSTRAP, *map(str, system)))
    for archive in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        _run(("dpkg", "-x", str(archive), str(root)))
        archive.unlink()
    wheels = root / "wheels"
    options = [option for name in PLATFORMS for option in ("--platform", name)]
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *options)
    _run((*download, "--python-version", PYTHON, "--dest", str(wheels), *PACKAGES))
    for wheel in wheels.glob("*.whl"):
        shutil.unpack_archive(wheel, root / SITE, "zip")
    shutil.rmtree(wheels)
    (root / FINISHED).touch()
    return root


def run_emulated(folder: Path, root: Path) -> None:
    """Run the files of a folder as `run_files.py` says, on an emulated Cortex-A76.

    Raises:
        EmulationError: If the emulated process fails.
    """
    python = root / "usr" / "bin" / f"python{PYTHON}"
    _run((QEMU, "-cpu", CPU, "-L", str(root), str(python), str(RUN_FILES), str(folder), str(root / SITE)))


def run_here(folder: Path) -> None:
    """The same on this machine, with the LiteRT that is installed."""
    _run((sys.executable, str(RUN_FILES), str(folder), ""))


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EmulationError(
            f"{' '.join(command[:6])} ... ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
        )


if __name__ == "__main__":
    try:
        print(f"ARM64 is ready in {make_root()}")
    except EmulationError as error:
        sys.exit(str(error))
