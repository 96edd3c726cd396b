"""Running and timing `.tflite` files with LiteRT, the runtime of the phone."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from automl_keras.data import Images
from automl_keras.errors import ExportError, InvalidDataError
from automl_keras.export.interpreter import LITERT_ERRORS, median_seconds, open_interpreter, run_in_batches
from automl_keras.export.silence import quiet

RUNTIME_PACKAGE = "ai-edge-litert"
MIN_RUNS = 20


def runtime_name() -> str:
    """Name and version of the runtime, such as "ai-edge-litert 2.3.0"."""
    return f"{RUNTIME_PACKAGE} {version(RUNTIME_PACKAGE)}"


class TFLiteModel:
    """A `.tflite` image classifier, run by LiteRT.

    Args:
        source: Path or bytes of the file. Its batch size may be fixed; it is resized as needed.
        num_threads: Threads of the interpreter.

    Raises:
        ExportError: If LiteRT cannot load the file.
    """

    def __init__(self, source: str | Path | bytes, num_threads: int = 1) -> None:
        self._interpreter = load_interpreter(source, num_threads)
        self.input_details: dict[str, Any] = self._interpreter.get_input_details()[0]
        self.output_details: dict[str, Any] = self._interpreter.get_output_details()[0]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(height, width, channels)` of one image."""
        return tuple(int(size) for size in self.input_details["shape"][1:])

    def predict(self, images: Images) -> np.ndarray:
        """Class probabilities, float32 of shape `(n, num_classes)`.

        Args:
            images: Shape `(n, height, width, channels)`, in the user's units. A file with integer
                input gets them quantized by the input's scale and zero point, rounded and clipped.

        Raises:
            InvalidDataError: If the shape is not the file's.
            ExportError: If LiteRT fails to run the file.
        """
        if len(images.shape) != 4 or images.shape[1:] != self.image_shape:
            raise InvalidDataError(
                f"`images` must have the shape (n, {', '.join(map(str, self.image_shape))}). "
                f"Received: images.shape={images.shape}"
            )
        try:
            return run_in_batches(self._interpreter, images)
        except LITERT_ERRORS as error:
            raise ExportError(f"LiteRT could not run the file: {error}") from error


def load_interpreter(source: str | Path | bytes, num_threads: int = 1) -> Any:
    """A LiteRT interpreter with its tensors allocated.

    Raises:
        ExportError: If LiteRT cannot load the file.
    """
    file = {"model_content": source} if isinstance(source, bytes) else {"model_path": str(source)}
    try:
        with quiet():
            return open_interpreter(num_threads, **file)
    except LITERT_ERRORS as error:
        raise ExportError(f"LiteRT could not load the file: {error}") from error


def measure_latency(source: str | Path | bytes, *, seconds: float = 0.2, num_threads: int = 1) -> float:
    """Milliseconds for one image on this machine: median of many runs after a warm-up.

    Args:
        source: Path or bytes of the file.
        seconds: How long to measure, warm-up included; at least 20 runs are measured all the same.
        num_threads: Threads of the interpreter.
    """
    return 1000.0 * median_seconds(load_interpreter(source, num_threads), seconds, MIN_RUNS)


def median_latency(source: str | Path | bytes, *, num_threads: int = 1) -> float:
    """The median of three measurements of `measure_latency`, each half as long: one alone may be disturbed."""
    return float(np.median([measure_latency(source, seconds=0.1, num_threads=num_threads) for _ in range(3)]))
