"""`Samples`: the few images that a project keeps, to make and measure other files of its network later."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from automl_keras.data import Dataset
from automl_keras.errors import InvalidDataError

FILE = "samples.npz"
TRAINING_IMAGES = 1000
SAMPLE_BYTES = 1 << 25  # of each part
BLOCK = 1_000  # images compared at once


class Samples:
    """Some training images, and those that files are measured on, which no network has learnt from.

    Args:
        path: Of the file, written by `keep`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def keep(cls, project: Path, train: Dataset, held_out: Dataset, *, seed: int) -> Samples:
        """Write samples into a project.

        Args:
            project: Its folder.
            train: At most 1,000 of these are kept.
            held_out: All are kept, up to 32 MB.
            seed: Decides which.
        """
        arrays: dict[str, Any] = {}
        for number, (name, data, most) in enumerate(
            (("train", train, TRAINING_IMAGES), ("held_out", held_out, held_out.num_examples))
        ):
            order = np.random.default_rng((seed, number, SAMPLE_BYTES)).permutation(data.num_examples)
            most = min(most, max(1, SAMPLE_BYTES // data.images[:1].nbytes))
            sample = data.take(np.sort(order[:most]))
            arrays |= {f"{name}_images": np.asarray(sample.images[:]), f"{name}_codes": sample.codes}
            if sample.sample_weight is not None:
                arrays[f"{name}_weight"] = sample.sample_weight
        unfinished = project / f"unfinished_{FILE}"
        np.savez_compressed(unfinished, **arrays)
        return cls(unfinished.replace(project / FILE))

    @classmethod
    def find(cls, project: Path) -> Samples | None:
        """Those of a project; `None` if it has none."""
        path = project / FILE
        return cls(path) if path.is_file() else None

    def copy_to(self, project: Path) -> None:
        """Write them into another project."""
        if self.path.resolve() != (project / FILE).resolve():
            shutil.copyfile(self.path, project / FILE)

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.path) as file:
            return dict(file)

    @property
    def train(self) -> Dataset:
        """Training images, with weights of the loss if the fit had any."""
        return self._part("train")

    @property
    def held_out(self) -> Dataset:
        """Images that files are measured on."""
        return self._part("held_out")

    def _part(self, name: str) -> Dataset:
        arrays = self._arrays
        return Dataset(arrays[f"{name}_images"], arrays[f"{name}_codes"], arrays.get(f"{name}_weight"))


def without(data: Dataset, images: np.ndarray) -> Dataset:
    """The examples whose images are not among others, which accuracies are measured on.

    Raises:
        InvalidDataError: If none is left.
    """
    known = {image.tobytes() for image in images.astype(np.float32)}
    kept = [
        start + place
        for start in range(0, data.num_examples, BLOCK)
        for place, image in enumerate(data.images[start : start + BLOCK].astype(np.float32))
        if image.tobytes() not in known
    ]
    if not kept:
        raise InvalidDataError("`x` must have images that `fit` did not validate on. Received: none")
    return data.take(np.array(kept))
