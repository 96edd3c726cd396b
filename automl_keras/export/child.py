"""`ChildRuntime`: candidate files run in a child process, because some end the process that runs them."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, Self

import numpy as np

from automl_keras.data import Images
from automl_keras.errors import ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export import interpreter

START_SECONDS = 120.0  # to import numpy and LiteRT and to receive the images, on a busy machine


class CrashError(ExportError):
    """A file ended the process that ran it, or took too long."""


class ChildRuntime:
    """Runs `.tflite` files on the same images, and times them, in a child process, with LiteRT.

    The child is started with the first file and gets the images once. After a file that failed in any way another
    child is started: a file that LiteRT refuses may have damaged its memory. The child imports numpy and LiteRT but
    not TensorFlow. Use this in a `with` statement, or `close` it.

    Args:
        images: Shape `(n, height, width, channels)`, at least one, in the user's units. Memory holds them, here and
            in the child.
        num_threads: Threads of the interpreter.
        seconds_per_file: A file that takes longer is given up.

    Raises:
        InvalidDataError: If the images have another shape.
        InvalidArgumentError: If there is no time for a file.
    """

    def __init__(self, images: Images, *, num_threads: int = 1, seconds_per_file: float = 60.0) -> None:
        if len(images.shape) != 4 or len(images) == 0:
            raise InvalidDataError(
                f"`images` must have the shape (n, height, width, channels), n at least 1. "
                f"Received: images.shape={images.shape}"
            )
        if not seconds_per_file > 0:
            raise InvalidArgumentError(
                f"`seconds_per_file` must be positive. Received: seconds_per_file={seconds_per_file!r}"
            )
        self.images = np.asarray(images[:])
        self.num_threads = num_threads
        self.seconds_per_file = seconds_per_file
        self._process: subprocess.Popen[bytes] | None = None
        self._printed: IO[bytes] = io.BytesIO()  # what the child prints, once there is one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def predict(self, data: bytes) -> np.ndarray:
        """Class probabilities for the images, float32 of shape `(n, num_classes)`: those of `TFLiteModel.predict`.

        Args:
            data: The file.

        Raises:
            ExportError: If LiteRT refuses the file.
            CrashError: If the child ends, with the signal, or takes too long.
        """
        return interpreter.from_bytes(self._request(interpreter.RUN + data))

    def measure_latency(self, data: bytes, *, seconds: float) -> float:
        """Milliseconds for one image: the median of runs.

        Args:
            data: The file.
            seconds: How long to measure, a warm-up of a fifth included; three runs are measured at least.

        Raises:
            ExportError: As for `predict`.
        """
        request = interpreter.TIME + interpreter.SECONDS.pack(seconds) + data
        return 1000.0 * float(interpreter.SECONDS.unpack(self._request(request))[0])

    def _request(self, content: bytes) -> bytes:
        try:
            process = self._process or self._start()
            return self._ask(process, content, self.seconds_per_file, "A file must run")
        except BaseException:  # at Ctrl-C too: its answer would be taken for that to the next file
            self.close()
            raise

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        self._printed.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 closed with the child
        self._process = subprocess.Popen(
            # -P: the modules beside the script are not for import under their bare names.
            [sys.executable, "-P", interpreter.__file__, str(self.num_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            start_new_session=True,  # Ctrl-C is for this process, which decides what becomes of the child
        )
        self._ask(self._process, interpreter.to_bytes(self.images), START_SECONDS, "LiteRT must start")
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], content: bytes, seconds: float, rule: str) -> bytes:
        """The child's answer to a frame; it is killed if there is none in time, which breaks the rule."""
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.start()
        try:
            with contextlib.suppress(OSError):  # the child has ended; no answer either then
                interpreter.write_frame(process.stdin, content)
            answer = interpreter.read_frame(process.stdout)
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise CrashError(f"{rule} within {seconds:g} s. Received: no answer by then")
        if answer is None:
            raise CrashError(f"The child process that ran the file ended: {self._reason(process)}")
        if answer.startswith(interpreter.FAILED):
            raise ExportError(answer.removeprefix(interpreter.FAILED).decode())
        return answer.removeprefix(interpreter.DONE)

    def _reason(self, process: subprocess.Popen[bytes]) -> str:
        """Signal or exit code, and the last line that the child has printed."""
        code = process.wait()
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._printed.seek(0)
        lines = [line for line in self._printed.read().decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith("INFO:")]
        return f"{reason} ({told[-1].strip()})" if told else reason
