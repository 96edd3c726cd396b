"""Images in folders, one for each class: found, decoded and brought to one shape."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from automl_keras.data.stored import ImageStore, StoredImages
from automl_keras.errors import InvalidDataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
USUAL_SIDE = 96  # larger images are shrunk, unless asked for: what a phone's small classifier looks at
LARGEST_SIDE = 224  # that can be asked for
SIZED_FILES = 2_000  # so many headers tell the usual size
DECODED_AT_ONCE = 256
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "F"})


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder.

    Attributes:
        paths: `n` files, sorted by class and name.
        labels: `(n,)` names of their sub-folders.
    """

    paths: tuple[Path, ...]
    labels: np.ndarray


def find_images(folder: str | os.PathLike[str], argument: str = "x") -> ImageFiles:
    """The PNG, JPEG and BMP files below each sub-folder of `folder`; hidden ones are left out.

    Raises:
        InvalidDataError: If there is no such folder, or it has no sub-folder with images.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InvalidDataError(f"`{argument}` must be an existing folder. Received: {argument}={str(folder)!r}")
    classes = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {path.name: sorted(filter(_is_image, path.rglob("*"))) for path in classes}
    if not any(found.values()):
        raise InvalidDataError(
            f"`{argument}` must be a folder with one sub-folder of PNG, JPEG or BMP files for each class. "
            f"Received: {argument}={str(folder)!r} with {len(classes)} sub-folders and no image in them"
        )
    empty = [name for name, paths in found.items() if not paths]
    if empty:
        raise InvalidDataError(
            f"Each sub-folder of `{argument}` must have images. "
            f"Received: {argument}={str(folder)!r} with none in {empty}"
        )
    paths = tuple(path for name in found for path in found[name])
    return ImageFiles(paths, np.repeat(np.array(list(found)), [len(paths) for paths in found.values()]))


def all_images(path: str | os.PathLike[str], argument: str = "x") -> tuple[Path, ...]:
    """An image file, or all PNG, JPEG and BMP files below a folder, sorted by path.

    Raises:
        InvalidDataError: If there is none.
    """
    root = Path(path)
    paths = (root,) if _is_image(root) else tuple(sorted(filter(_is_image, root.rglob("*"))))
    if not paths:
        raise InvalidDataError(
            f"`{argument}` must be a PNG, JPEG or BMP file or a folder with some. Received: {argument}={str(path)!r}"
        )
    return paths


def usual_shape(paths: tuple[Path, ...], largest: int = USUAL_SIDE) -> tuple[int, int, int]:
    """Median height and width, the longer side at most `largest` pixels; 1 channel if all images are grey, else 3.

    It is read from the headers of at most 2,000 files, evenly spread.
    """
    step = max(1, len(paths) // SIZED_FILES)
    headers = [_header(path) for path in paths[::step]]
    height, width = np.median([size for size, _ in headers], axis=0)
    shrink = min(1.0, largest / max(height, width))
    channels = 1 if all(mode in GREY_MODES for _, mode in headers) else 3
    return max(1, round(height * shrink)), max(1, round(width * shrink)), channels


def read_images(paths: tuple[Path, ...], shape: tuple[int, int, int]) -> StoredImages:
    """Decode all files into a store of uint8 images.

    Orientation tags are obeyed, transparency is laid over black, other sizes are scaled to `shape`.

    Raises:
        InvalidDataError: If a file cannot be decoded; the text has its path.
    """
    store = ImageStore(shape, np.uint8)
    for block in decoded(paths, shape):
        store.append(block)
    return store.images()


def decoded(paths: tuple[Path, ...], shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """The images of files, uint8 `(n, height, width, channels)`, 256 at a time."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), DECODED_AT_ONCE):
            yield np.stack(list(pool.map(partial(_decode, shape=shape), paths[start : start + DECODED_AT_ONCE])))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _header(path: Path) -> tuple[tuple[int, int], str]:
    """(height, width) as shown, and the mode."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) >= 5
            return ((width, height) if turned else (height, width)), image.mode
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from error


ORIENTATION = 0x0112  # tag of Exif: values from 5 on are turned by a quarter


def _decode(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = shape
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("I", "I;16"):  # 16 bits; Pillow would clip instead of scale
                pixels = np.asarray(image, dtype=np.float64) / 257.0
                image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
            if image.has_transparency_data:
                background = Image.new("RGBA", image.size, "black")
                image = Image.alpha_composite(background, image.convert("RGBA"))
            image = image.convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(shape)


def _unreadable(path: Path, error: Exception) -> InvalidDataError:
    return InvalidDataError(f"Every image must be a whole PNG, JPEG or BMP file. Received: {str(path)!r} ({error})")
