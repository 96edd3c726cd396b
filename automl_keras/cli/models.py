"""A model named on the command line: a project folder or a `.tflite` file with its labels inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from automl_keras.cli.file_facts import parsed, try_to_run
from automl_keras.cli.tflite_file import (
    check_labels,
    metadata_bytes,
    parse_metadata,
    read_bytes,
    read_labels,
)
from automl_keras.data import MultiLabel, Regression
from automl_keras.errors import InvalidArgumentError
from automl_keras.export import TFLiteModel
from automl_keras.export.flatbuffer import read
from automl_keras.export.metadata import MODEL_NAMES

if TYPE_CHECKING:
    from automl_keras.data import Images

OTHER_TASKS = (MODEL_NAMES[MultiLabel.kind], MODEL_NAMES[Regression.kind])
BLOCK = 1_000  # images in memory at once


@dataclass(frozen=True)
class OpenedModel:
    """Something that answers with one probability for each label.

    Attributes:
        kind: What computes: "keras" or "tflite".
        labels: One for each column of the answers, integers or bools where they were trained with.
        image_shape: `(height, width, channels)`.
        mean: With `std`: pixels p of image files, from 0 to 255, become `(p - mean) / std`.
        std: See `mean`.
        predict: Images to probabilities `(n, labels)`.
    """

    kind: str
    labels: tuple[str | int | float | bool, ...]
    image_shape: tuple[int, int, int]
    mean: np.ndarray
    std: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]

    def probabilities(self, images: Images, *, from_files: bool) -> Iterator[np.ndarray]:
        """Probabilities `(n, labels)` of all images, in blocks of at most 1,000.

        Args:
            images: `(n, height, width, channels)`.
            from_files: Whether they are pixels of image files; others are taken to be as the model wants them.
        """
        changed = from_files and ((self.mean != 0).any() or (self.std != 1).any())
        for start in range(0, len(images), BLOCK):
            block = images[start : start + BLOCK]
            yield self.predict(((block - self.mean) / self.std).astype(np.float32) if changed else block)


def open_model(path: str) -> OpenedModel:
    """The network of a project, or a file that this package exported.

    Raises:
        InvalidArgumentError: If it is neither a folder nor a file, or of images with several labels or values.
        ProjectError: If the folder is no finished project.
        ExportError: If LiteRT cannot run the file, or it has no metadata or no fitting labels.
    """
    if not Path(path).is_dir():
        data = read_bytes(path)
        try_to_run(data, parsed(data))  # in a process of its own: one that it ends is not this one
        return _opened(data, path)
    from automl_keras.estimators import ImageClassifier

    classifier = ImageClassifier.load(path)
    file = _opened(read_bytes(classifier.tflite_path_), path)
    return OpenedModel(
        "keras",
        tuple(classifier.classes_.tolist()),
        classifier.export_model().input_shape[1:],
        file.mean,
        file.std,
        classifier.predict_proba,
    )


def _opened(data: bytes, path: str) -> OpenedModel:
    model = TFLiteModel(data)
    metadata = parse_metadata(metadata_bytes(read(data)))
    if metadata.name in OTHER_TASKS:
        raise InvalidArgumentError(
            "The command takes classifiers with one label for each image; others are for Python. "
            f"Received: {path}, {metadata.name}"
        )
    labels = read_labels(data, metadata.labels_file)
    check_labels(labels, int(model.output_details["shape"][-1]))
    height, width, channels = model.image_shape
    return OpenedModel(
        "tflite",
        labels,
        (height, width, channels),
        np.array(metadata.mean or (0.0,)),
        np.array(metadata.std or (1.0,)),
        model.predict,
    )
