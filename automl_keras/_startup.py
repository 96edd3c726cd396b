"""What has to be settled before Keras and TensorFlow are first imported: the backend and the log noise."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from automl_keras.errors import BackendError

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_DEFAULT_LOG_LEVEL = "3"  # without a GPU, TensorFlow logs an error about its driver at the first operation

_SEVERITIES = b"IWE"  # of log levels 0, 1 and 2; fatal messages are never hidden
_LOG_LINE = re.compile(rb"([IWE])\d{4} \d\d:\d\d:")
_LOG_BANNER = b"WARNING: All log messages before absl::InitializeLog()"


def check_backend() -> None:
    """Refuse any Keras backend but TensorFlow, without importing Keras.

    Raises:
        BackendError: If Keras runs, or is configured to run, on another backend.
    """
    backend, source = _backend_and_source()
    if backend != "tensorflow":
        raise BackendError(
            "automl_keras needs Keras to run on TensorFlow. Set the environment variable KERAS_BACKEND=tensorflow "
            f"before Keras is first imported. Received: backend={backend!r} (from {source})"
        )


def _backend_and_source() -> tuple[str, str]:
    """The backend and who says so, asked in the order of Keras: the variable, then the file `keras.json`."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend(), "the imported Keras"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "the environment variable KERAS_BACKEND"
    folder = os.environ.get("KERAS_HOME", "~/.keras")
    path = Path(os.path.expanduser(folder)) / "keras.json"  # noqa: PTH111 - does not fail where there is no home
    try:
        config = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:  # Keras takes a file it cannot parse for an empty one
        config = {}
    return config.get("backend", "tensorflow"), str(path)


def quieten_tensorflow() -> None:
    """Let TensorFlow start without its messages on CPU features, oneDNN and missing GPU drivers.

    Sets `TF_CPP_MIN_LOG_LEVEL` to 3 unless the user has set it. Some libraries log while they are loaded,
    before they look at that level, so the import itself is filtered by the same level. Level 0 shows everything.
    """
    value = os.environ.setdefault(_LOG_LEVEL, _DEFAULT_LOG_LEVEL)
    level = int(value) if value.isdecimal() else 0
    if level > 0 and "tensorflow" not in sys.modules and sys.stderr is not None:
        sys.meta_path.insert(0, _QuietTensorFlowFinder(level))


class _QuietTensorFlowFinder(MetaPathFinder):
    """Finds `tensorflow` so that its first import runs under `_log_filter`, then removes itself."""

    def __init__(self, level: int) -> None:
        self._level = level

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            # The loader itself stays: importlib.resources and inspect ask it for more than this method.
            spec.loader.exec_module = self._quietly(spec.loader.exec_module)  # type: ignore[assignment]
        return spec

    def _quietly(self, exec_module: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def run(module: ModuleType) -> None:
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            with _log_filter(self._level):
                exec_module(module)

        return run


@contextmanager
def _log_filter(level: int) -> Iterator[None]:
    """Hold standard error back; at the end pass on all of it but log lines below `level`.

    Works on the file descriptor, since C++ libraries do not write through `sys.stderr`.
    """
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            with open(2, "wb", closefd=False) as stream:
                stream.writelines(line for line in held if not _is_noise(line, level))


def _is_noise(line: bytes, level: int) -> bool:
    """Whether a log level asks for this line to be hidden."""
    match = _LOG_LINE.match(line)
    if match is None:
        return line.startswith(_LOG_BANNER)
    return _SEVERITIES.index(match[1]) < level
