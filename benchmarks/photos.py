"""Colour data: patches of photographs; the class is the photograph."""

from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "mate-backgrounds"  # of Debian
FOLDER = Path("/usr/share/backgrounds/mate")
NATURE = "Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings Wood YellowFlower"
NAMES = ("abstract/Elephants", *(f"nature/{name}" for name in NATURE.split()))
SIDE = 32  # pixels of a patch
COLUMNS, ROWS = 40, 24  # patches of a photograph; they do not overlap
TRAIN_COLUMNS, FIRST_TEST_COLUMN = 22, 24  # left for training, right for testing, a gap between them


def photo_patches() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """13 photographs, each scaled to 1280x768 pixels and cut into patches.

    Returns:
        Training patches (6864, 32, 32, 3), their labels, test patches (4992, 32, 32, 3), their labels.

    Raises:
        FileNotFoundError: If the Debian package with the photographs is missing.
    """
    if not FOLDER.is_dir():
        raise FileNotFoundError(f"The photographs are in the Debian package {PACKAGE}: apt-get install {PACKAGE}")
    train, test = [], []
    for name in NAMES:
        with Image.open(FOLDER / f"{name}.jpg") as photo:
            small = photo.convert("RGB").resize((COLUMNS * SIDE, ROWS * SIDE), Image.Resampling.BOX)
        columns = np.asarray(small).reshape(ROWS, SIDE, COLUMNS, SIDE, 3).transpose(2, 0, 1, 3, 4)
        train.append(columns[:TRAIN_COLUMNS].reshape(-1, SIDE, SIDE, 3))
        test.append(columns[FIRST_TEST_COLUMN:].reshape(-1, SIDE, SIDE, 3))
    return *_labelled(train), *_labelled(test)


def _labelled(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
