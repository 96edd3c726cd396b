"""`TFLiteReport`: what was measured on an exported file."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_keras.data import CLASSIFICATION, Images, Task
from automl_keras.errors import InvalidDataError
from automl_keras.export.flatbuffer import read
from automl_keras.export.inspection import activation_dtypes, peak_memory, weight_bits
from automl_keras.export.runtime import TFLiteModel, median_latency, runtime_name

MIN_AGREEMENT = 0.99
# The oldest runtimes that ran files with weights of these bits correctly when tried.
MIN_RUNTIMES = ((2, "ai-edge-litert 2.1.6"), (4, "ai-edge-litert 1.4.0"), (64, "tflite-runtime 2.14.0"))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TFLiteReport:
    """Everything measured on one `.tflite` file, or read back from it.

    Attributes:
        path: Where the file is.
        size_kb: Its size in kB of 1,000 bytes, labels and metadata included.
        accuracy: Share of right answers, run by LiteRT, on images that the network has not seen; where images may
            have several labels, that of `automl_keras.data.MultiLabel`; `None` for values.
        latency_ms: Median time for one image on this machine, one thread.
        ram_kb: Peak of the activations that exist at once, for one image; the least that a
            runtime's arena can be.
        bits: Layer to the bits its weights are stored with.
        dtypes: Kind of operation to the types it returns; "INPUT" and "OUTPUT" for the file.
        agreement: Share of images on which the file's answer is the Keras model's; of several labels the share of
            labels. For values 1 minus their mean squared difference in units of the variance of `y`.
        runtime: What ran the file.
        min_runtime: The oldest runtime known to run such weights.
        warnings: Sentences on what is not as it should be.
        refitted: Whether the network has learnt from all images in the end. The accuracy was then measured
            before that, on the file it had become by then: no image is left to measure this file on.
        r2_score: R^2 of values, measured as the accuracy of labels; `None` for labels.
    """

    path: str
    size_kb: float
    accuracy: float | None
    latency_ms: float
    ram_kb: float
    bits: dict[str, int]
    dtypes: dict[str, tuple[str, ...]]
    agreement: float
    runtime: str
    min_runtime: str
    warnings: tuple[str, ...] = ()
    refitted: bool = False
    r2_score: float | None = None

    @property
    def score(self) -> float:
        """What the task maximises: accuracy, or R^2 of values."""
        score = self.accuracy if self.r2_score is None else self.r2_score
        assert score is not None  # one of them is measured
        return score

    def save(self, path: str | Path) -> TFLiteReport:
        """Copy the file to `path`, where it appears whole or not at all; returns the report with that path."""
        target = Path(path)
        unfinished = target.with_name(f".unfinished_{target.name}")
        try:
            shutil.copyfile(self.path, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        return replace(self, path=str(target))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        dtypes = {name: list(types) for name, types in self.dtypes.items()}
        return {**asdict(self), "dtypes": dtypes, "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TFLiteReport:
        """Rebuild a report from `to_dict`."""
        dtypes = {name: tuple(types) for name, types in data["dtypes"].items()}
        return cls(**{**data, "dtypes": dtypes, "warnings": tuple(data["warnings"])})


def measure_file(
    path: str | Path,
    images: Images,
    codes: np.ndarray,
    sample_weight: np.ndarray | None = None,
    *,
    keras_predictions: np.ndarray,
    task: Task = CLASSIFICATION,
) -> TFLiteReport:
    """Run a file through LiteRT and measure it.

    Args:
        path: The `.tflite` file.
        images: Shape `(n, height, width, channels)`, in the user's units; n at least 1.
        codes: The targets of the task, such as the right classes, integers of shape `(n,)`.
        sample_weight: How much each image counts in the score, shape `(n,)`; `None` if all count the same.
        keras_predictions: Outputs of the Keras network for the same images, such as logits of shape `(n, num_classes)`;
            of a classifier probabilities will do.
        task: What was learnt.

    Raises:
        InvalidDataError: If there are no images, or numbers of images, codes and predictions differ.
        ExportError: If LiteRT cannot load or run the file.
    """
    if len(images) == 0 or not len(images) == len(codes) == len(keras_predictions):
        raise InvalidDataError(
            "`images`, `codes` and `keras_predictions` must be of one length, at least 1. "
            f"Received: lengths={(len(images), len(codes), len(keras_predictions))}"
        )
    data = Path(path).read_bytes()
    outputs = task.outputs_of(TFLiteModel(data).predict(images))
    agreement = task.agreement(outputs, keras_predictions)
    warnings = []
    if agreement < MIN_AGREEMENT:
        warnings.append(
            f"The agreement of the file with the Keras model is only {agreement:.1%}, by the answers to a sample of "
            f"{len(images)} images; at least {MIN_AGREEMENT:.0%} is expected."
        )
        logger.warning("%s", warnings[-1])
    model = read(data)
    bits = weight_bits(model)
    metrics = task.metrics(outputs, codes, sample_weight)
    return TFLiteReport(
        path=str(path),
        size_kb=len(data) / 1000,
        accuracy=metrics.get("accuracy"),
        latency_ms=median_latency(data),
        ram_kb=peak_memory(model) / 1000,
        bits=bits,
        dtypes=activation_dtypes(model),
        agreement=agreement,
        runtime=runtime_name(),
        min_runtime=_min_runtime(min(bits.values(), default=32)),
        warnings=tuple(warnings),
        r2_score=metrics.get("r2_score"),
    )


def _min_runtime(bits: int) -> str:
    return next(runtime for most, runtime in MIN_RUNTIMES if bits <= most)
