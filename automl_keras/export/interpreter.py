"""Running `.tflite` files with numpy and LiteRT alone; as a script, the child process of `ChildRuntime`.

The child runs this file by its path, so it imports nothing else: not this package, and never TensorFlow.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import time
from typing import IO, Any

import numpy as np

BATCH_SIZE = 250
BATCH_VALUES = 2**22  # input values of one batch at most; bounds the memory for large images
LITERT_ERRORS = (RuntimeError, ValueError)
LENGTH, SECONDS = struct.Struct("<Q"), struct.Struct("<d")
RUN, TIME = b"r", b"t"
DONE, FAILED = b"+", b"-"
WARM_UP_SHARE = 0.2


def open_interpreter(num_threads: int, **file: Any) -> Any:
    """A LiteRT interpreter with its tensors allocated.

    Args:
        num_threads: Threads of the interpreter.
        file: `model_content=` bytes or `model_path=` a path.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(**file, num_threads=num_threads)
    interpreter.allocate_tensors()
    return interpreter


def run_in_batches(interpreter: Any, images: Any) -> np.ndarray:
    """Outputs for images, float32 of shape `(n, ...)`.

    Args:
        interpreter: From `open_interpreter`; it is resized to the batches.
        images: Shape `(n, height, width, channels)`; arrays or what gives arrays when it is sliced.
    """
    input_details, output_details = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    step = max(1, min(BATCH_SIZE, BATCH_VALUES // int(np.prod(images.shape[1:]))))
    batches = [
        _run(interpreter, images[start : start + step], input_details, output_details)
        for start in range(0, len(images), step)
    ]
    return np.concatenate(batches) if batches else np.zeros((0, *output_details["shape"][1:]), np.float32)


def median_seconds(interpreter: Any, seconds: float, min_runs: int) -> float:
    """Seconds for one image of ones: median of many runs after a warm-up.

    Args:
        interpreter: From `open_interpreter`, for one image.
        seconds: How long to measure, warm-up included.
        min_runs: So many runs are measured at least.
    """
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.ones(details["shape"], details["dtype"]))
    start = time.perf_counter()
    interpreter.invoke()
    while time.perf_counter() - start < seconds * WARM_UP_SHARE:
        interpreter.invoke()
    times: list[float] = []
    before = time.perf_counter()
    while before - start < seconds or len(times) < min_runs:
        interpreter.invoke()
        now = time.perf_counter()
        times.append(now - before)
        before = now
    return float(np.median(times))


def _run(
    interpreter: Any, images: np.ndarray, input_details: dict[str, Any], output_details: dict[str, Any]
) -> np.ndarray:
    index = input_details["index"]
    if interpreter.get_input_details()[0]["shape"][0] != len(images):
        interpreter.resize_tensor_input(index, images.shape)
        interpreter.allocate_tensors()
    interpreter.set_tensor(index, _quantized(images, input_details))
    interpreter.invoke()
    return _dequantized(interpreter.get_tensor(output_details["index"]), output_details)


def _quantized(images: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    dtype, (scale, zero_point) = details["dtype"], details["quantization"]
    if not np.issubdtype(dtype, np.integer):
        return images.astype(dtype, copy=False)
    if images.dtype == dtype and (scale, zero_point) == (1.0, 0):
        return images
    limits = np.iinfo(dtype)
    return np.clip(np.rint(images / (scale or 1.0)) + zero_point, limits.min, limits.max).astype(dtype)


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if not np.issubdtype(details["dtype"], np.integer):
        return values.astype(np.float32, copy=False)
    scale, zero_point = details["quantization"]
    return ((values.astype(np.float32) - zero_point) * (scale or 1.0)).astype(np.float32)


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Write the length of some bytes and the bytes."""
    stream.write(LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """What `write_frame` has written, or `None` if the stream ended before."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    content = stream.read(length)
    return content if len(content) == length else None


def to_bytes(array: np.ndarray) -> bytes:
    """An array in numpy's file format; `from_bytes` is its inverse."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def from_bytes(content: bytes) -> np.ndarray:
    """Rebuild an array from `to_bytes`."""
    return np.load(io.BytesIO(content), allow_pickle=False)


def main() -> None:
    """Answer frames of standard input until it ends: the images first, then one request after the other.

    A request is `RUN` and a file, or `TIME`, for how many `SECONDS`, and a file. An answer is `DONE` and the file's
    outputs, or the seconds that one image took, nothing for the images; or `FAILED` and what went wrong.
    """
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what LiteRT prints must not get between the frames
        first = read_frame(requests)
        if first is None:
            return
        images = from_bytes(first)
        write_frame(answers, DONE)
        while (request := read_frame(requests)) is not None:
            write_frame(answers, _answer(request, images, num_threads=int(sys.argv[1])))


def _answer(request: bytes, images: np.ndarray, num_threads: int) -> bytes:
    kind, content, task = request[:1], request[1:], "load"
    try:
        file = content[SECONDS.size :] if kind == TIME else content
        interpreter = open_interpreter(num_threads, model_content=file)
        task = "run"
        if kind == TIME:
            (seconds,) = SECONDS.unpack(content[: SECONDS.size])
            return DONE + SECONDS.pack(median_seconds(interpreter, seconds, min_runs=3))
        return DONE + to_bytes(run_in_batches(interpreter, images))
    except LITERT_ERRORS as error:
        return FAILED + f"LiteRT could not {task} the file: {error}".encode()


if __name__ == "__main__":
    main()
