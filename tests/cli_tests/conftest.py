import io
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from automl_keras.cli import main

FIT = ("--max-trials", "1", "--epochs", "2", "--max-size-kb", "9", "--seed", "0", "--verbose", "0")


@dataclass(frozen=True)
class Workplace:
    """The folder that the examples of `--help` are typed in, after two fits.

    Attributes:
        folder: Holds photos/, photos_to_test/, data.npz, projects/photos, model.tflite and digits.tflite.
        x: The images of data.npz, which are those of photos_to_test/.
        y: Their labels, "cat" and "dog".
        fitted: What the fit of photos/ printed as JSON.
        told: What the fit of the digits printed as text.
    """

    folder: Path
    x: np.ndarray
    y: np.ndarray
    fitted: dict[str, Any]
    told: str


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard output of a command."""
    with redirect_stdout(io.StringIO()) as output:
        code = main([*map(str, arguments)])
    return code, output.getvalue()


def save_images(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """One sub-folder for each label; file i of it, from 1 on, is the i-th image with that label."""
    for label in np.unique(labels):
        (folder / label).mkdir(parents=True)
        for number, image in enumerate(images[labels == label], start=1):
            Image.fromarray(image).save(folder / label / f"{number}.png")


@pytest.fixture(scope="session")
def fitted_workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("workplace")
    digits = load_digits(n_class=2)
    images = (digits.images * 15).astype(np.uint8)
    labels = np.array(["cat", "dog"])[digits.target]
    save_images(folder / "photos", images[:120], labels[:120])
    save_images(folder / "photos_to_test", images[120:160], labels[120:160])
    np.savez(folder / "data.npz", x=images[120:160], y=labels[120:160])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, output = run("fit", "photos/", "--project", "projects/photos", "--out", "model.tflite", "--json", *FIT)
        assert code == 0, output
        code, told = run("fit", "digits", "--out", "digits.tflite", *FIT)
        assert code == 0, told
    return Workplace(folder, images[120:160], labels[120:160], json.loads(output), told)


@pytest.fixture
def workplace(fitted_workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """The workplace, as the current folder; must not be changed."""
    monkeypatch.chdir(fitted_workplace.folder)
    return fitted_workplace


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C, also where the tests run in the background and a shell has made them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
