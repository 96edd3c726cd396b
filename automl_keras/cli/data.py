"""What stands for images on the command line: a folder, image files, an `.npz` file, or the word "digits"."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_keras.errors import InvalidDataError

if TYPE_CHECKING:
    from automl_keras.data import Images

DIGITS = "digits"
TRAINING = "train"
TEST = "test"


@dataclass(frozen=True)
class Pictures:
    """Images to classify.

    Attributes:
        names: What each is called, n of them.
        images: `(n, height, width, channels)`.
        from_files: Whether they come from image files, so that pixels are from 0 to 255 whatever a model takes.
    """

    names: list[str]
    images: Images
    from_files: bool


def is_folder(data: str) -> bool:
    """Whether the images are files in a folder."""
    return Path(data).is_dir()


def labelled_data(data: str, part: str) -> tuple[Any, Any]:
    """`(x, y)` as `ImageClassifier.fit` and `evaluate` take them.

    Args:
        data: A folder; an `.npz` file with `x` and `y`, or with `x_train`, `y_train`, `x_test` and `y_test`; or
            "digits", unless there is a folder of that name.
        part: "train" or "test": what to take where the data are in two parts, as the digits are.

    Raises:
        InvalidDataError: If it is none of these.
    """
    if is_folder(data):
        return data, None
    if data == DIGITS:
        return _digits(part)
    x, y = _arrays(data, [(f"x_{part}", f"y_{part}"), ("x", "y")])
    return x, y


def pictures(given: str, image_shape: tuple[int, int, int]) -> Pictures:
    """Images to classify: an image file, all images below a folder, the test part of an `.npz` file or of the digits.

    Args:
        given: What was typed.
        image_shape: Shape to which images of files are scaled.

    Raises:
        InvalidDataError: If it is none of these.
    """
    from automl_keras.data import check_images
    from automl_keras.data.folder import all_images, read_images

    if given == DIGITS and not is_folder(given):
        images = check_images(_digits(TEST)[0])
    elif given.endswith(".npz"):
        images = check_images(_arrays(given, [(f"x_{TEST}",), ("x",)])[0])
    else:
        paths = all_images(given, "IMAGES")
        return Pictures([str(path) for path in paths], read_images(paths, image_shape), from_files=True)
    return Pictures([f"{given}[{index}]" for index in range(len(images))], images, from_files=False)


def _digits(part: str) -> tuple[Any, Any]:
    """Four fifths of scikit-learn's digits to learn from, or the fifth to test on: 8 by 8 pixels from 0 to 16."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    return (x_train, y_train) if part == TRAINING else (x_test, y_test)


def _arrays(path: str, choices: list[tuple[str, ...]]) -> tuple[Any, ...]:
    """The arrays of the first names that are all in an `.npz` file."""
    import numpy as np

    if not path.endswith(".npz") or not zipfile.is_zipfile(path):
        raise InvalidDataError(f'Data must be a folder, an .npz file or the word "digits". Received: {path!r}')
    try:
        with np.load(path, allow_pickle=False) as file:
            for names in choices:
                if set(names) <= set(file.files):
                    return tuple(file[name] for name in names)
            found = file.files
    except Exception as error:  # whatever the readers of archives and arrays run into
        raise InvalidDataError(
            f"An .npz file must hold whole arrays of numbers or texts. Received: {path!r} ({error})"
        ) from error
    wanted = " or ".join(" and ".join(names) for names in choices)
    raise InvalidDataError(f"An .npz file must hold the arrays {wanted}. Received: {path!r} with {found}")
