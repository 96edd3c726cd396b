"""`quiet`: discard what libraries print, from Python and from C++."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


@contextmanager
def quiet() -> Iterator[None]:
    """Discard all output and warnings of this process while the block runs.

    TensorFlow's converter and LiteRT write from C++ to file descriptors 1 and 2, past
    `sys.stdout` and every logger, so the descriptors themselves are redirected. What other
    threads print meanwhile is lost too: keep the block short. Logging is afterwards as it was:
    TensorFlow sets the level of the logger "absl", and absl gives the root logger a handler,
    which would go on writing to the discarded stream.
    """
    root, absl = logging.getLogger(), logging.getLogger("absl")
    with ExitStack() as stack:
        stack.callback(absl.setLevel, absl.level)
        handler = logging.NullHandler()  # absl adds one only where there is none
        root.addHandler(handler)
        stack.callback(root.removeHandler, handler)
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            if stream is not None:
                stream.flush()
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
        with Path(os.devnull).open("wb") as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield
