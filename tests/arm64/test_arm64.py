"""What a phone's processor makes of our files: the same as this machine, to the last bit where kernels are the same.

The test fails where ARM64 cannot be emulated; it is never skipped.
"""

import importlib.util
import platform
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
DATA = ("digits", "colours")
IMAGES = 100
ARM, THIS = "aarch64", platform.machine()


def load(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


emulation = load(HERE / "emulation.py")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, inputs and the outputs of both processors."""
    root = emulation.make_root()
    folder = tmp_path_factory.mktemp("arm64")
    load(HERE.parent / "android" / "make_files.py").main(folder)
    for data in DATA:
        with np.load(folder / f"{data}.npz") as arrays:
            images = arrays["images"][:IMAGES]
        for file in folder.glob(f"{data}_*_uint8.tflite"):
            np.save(file.with_suffix(".npy"), images)
    for file in folder.glob("*_float32.tflite"):
        if not file.with_suffix(".npy").exists():  # the same network with the other input
            file.unlink()
    emulation.run_emulated(folder, root)
    emulation.run_here(folder)
    return folder


def pair(folder: Path, name: str, kernels: str) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of the emulated processor and of this one."""
    arm, here = (np.load(folder / f"{name}.{kernels}.{machine}.npy") for machine in (ARM, THIS))
    assert len(arm) == len(here) == IMAGES
    return arm, here


@pytest.mark.slow
@pytest.mark.parametrize("types", ["int8", "mixed"])
@pytest.mark.parametrize("data", DATA)
def test_reference_kernels_of_static_files_give_the_same_bits(outputs: Path, data: str, types: str) -> None:
    arm, here = pair(outputs, f"{data}_{types}_uint8", "reference")
    np.testing.assert_array_equal(arm.argmax(axis=1), here.argmax(axis=1))
    np.testing.assert_array_equal(arm, here)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["reference", "xnnpack"])
@pytest.mark.parametrize("types", ["float32", "float16", "int8", "mixed"])
@pytest.mark.parametrize("data", DATA)
def test_answers_agree(outputs: Path, data: str, types: str, kernels: str) -> None:
    arm, here = pair(outputs, f"{data}_{types}_uint8", kernels)
    assert np.mean(arm.argmax(axis=1) == here.argmax(axis=1)) >= 0.98
    if types.startswith("float"):
        np.testing.assert_allclose(arm, here, atol=1e-4)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "debootstrap" else f"/usr/bin/{tool}")
    with pytest.raises(emulation.EmulationError, match=r"Missing: debootstrap\. .*apt-get install"):
        emulation.make_root(tmp_path / "root")
