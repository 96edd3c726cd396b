"""`SharedWeights`: a trained supernet in a project, with the few images that asking it takes."""

from __future__ import annotations

import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from automl_keras.data import DatasetInfo, PreparedData
from automl_keras.errors import ProjectError
from automl_keras.search_space import NetworkSpace, network_space_from_dict
from automl_keras.supernet import CALIBRATION_IMAGES, SubnetScorer, Supernet, make_supernet
from automl_keras.tuners import SupernetTuner

FOLDER = "shared_weights"
DESCRIPTION_FILE = "supernet.json"
WEIGHTS_FILE = "supernet.weights.h5"
SAMPLES_FILE = "samples.npz"
SAMPLE_BYTES = 1 << 26  # of validation images


class SharedWeights:
    """The shared weights that a fit has trained: any subnet can be cut out of them without training.

    Args:
        folder: Written by `keep`.
        info: Facts about the data.
    """

    def __init__(self, folder: Path, info: DatasetInfo) -> None:
        self.folder = folder
        self.info = info

    @classmethod
    def keep(cls, project: Path, tuner: SupernetTuner, data: PreparedData, *, seed: int) -> None:
        """Write the present generation of a tuner's supernet into a project, over an earlier one.

        Args:
            project: The folder of the project.
            tuner: After its last round.
            data: Some training images are kept to calibrate with, and validation images to compare subnets on.
            seed: Decides which.
        """
        folder = project / FOLDER
        unfinished = project / f"unfinished_{FOLDER}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        supernet = tuner.trainer.supernet
        supernet.save_weights(unfinished / WEIGHTS_FILE)
        rng = np.random.default_rng((seed, SAMPLE_BYTES))
        train, validation = data.train, data.validation
        for_calibration = np.sort(rng.permutation(train.num_examples)[:CALIBRATION_IMAGES])
        most = max(1, SAMPLE_BYTES // validation.images[:1].nbytes)
        to_compare_on = np.sort(rng.permutation(validation.num_examples)[:most])
        samples: dict[str, Any] = {
            "calibration_images": np.asarray(train.images[for_calibration]),
            "images": np.asarray(validation.images[to_compare_on]),
            "codes": validation.codes[to_compare_on],
        }
        if validation.sample_weight is not None:
            samples["sample_weight"] = validation.sample_weight[to_compare_on]
        np.savez(unfinished / SAMPLES_FILE, **samples)
        description = {
            "generation": tuner.generation,
            "space": supernet.space.to_dict(),
            "settings": supernet.settings(),
        }
        (unfinished / DESCRIPTION_FILE).write_text(json.dumps(description))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)

    @classmethod
    def find(cls, project: Path, info: DatasetInfo) -> SharedWeights | None:
        """Those of a project; `None` if it has none."""
        folder = project / FOLDER
        return cls(folder, info) if (folder / DESCRIPTION_FILE).is_file() else None

    def copy_to(self, project: Path) -> None:
        """Write them into another project."""
        target = project / FOLDER
        if target.resolve() != self.folder.resolve():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self.folder, target)

    @cached_property
    def description(self) -> dict[str, Any]:
        """What `keep` wrote about the supernet."""
        return dict(json.loads((self.folder / DESCRIPTION_FILE).read_text()))

    @cached_property
    def samples(self) -> dict[str, np.ndarray]:
        """Arrays by name: calibration_images, images, codes and, where images count differently, sample_weight."""
        with np.load(self.folder / SAMPLES_FILE) as file:
            return dict(file)

    @cached_property
    def space(self) -> NetworkSpace:
        """The space of the supernet."""
        return network_space_from_dict(self.description["space"])

    @cached_property
    def scorer(self) -> SubnetScorer:
        """Scores and cuts out subnets; building it takes a few seconds.

        Raises:
            ProjectError: If the weights are missing or of another supernet.
        """
        samples = self.samples
        return SubnetScorer(
            self._supernet(),
            samples["calibration_images"],
            samples["images"],
            samples["codes"],
            samples.get("sample_weight"),
        )

    def _supernet(self) -> Supernet:
        supernet = make_supernet(self.space, self.info, **self.description["settings"])
        try:
            supernet.load_weights(self.folder / WEIGHTS_FILE)
        except (OSError, ValueError) as error:
            raise ProjectError(f"The shared weights cannot be read. Received: {self.folder} ({error})") from error
        return supernet
