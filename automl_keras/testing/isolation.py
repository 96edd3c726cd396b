"""What a search must neither depend on nor touch: the process it runs in and its global random generators."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf


def call_in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in another Python process, whose strings have other hashes.

    The process is started once and serves all such calls, for it has to import TensorFlow.

    Args:
        function: A function of a module, so that the process can import it.
        arguments: Likewise; what they are made of can be pickled.
    """
    # Pickled here: what the queue cannot unpickle would end the process for all calls to come.
    return _fresh_process().submit(_call, sys.path, pickle.dumps((function, arguments))).result()


def _call(path: list[str], pickled: bytes) -> Any:
    sys.path[:] = path  # modules may have become importable since the process was started
    function, arguments = pickle.loads(pickled)
    return function(*arguments)


@contextmanager
def untouched_generators() -> Iterator[None]:
    """Fails if the block draws from or seeds the global generators of Python, NumPy, Keras or TensorFlow."""
    keras.utils.set_random_seed(169208)
    expected = _draw_from_each()
    keras.utils.set_random_seed(169208)
    yield
    assert _draw_from_each() == expected


@functools.cache
def _fresh_process() -> ProcessPoolExecutor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "169208")
        process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        process.submit(int).result()  # starts it, in this environment
    atexit.register(process.shutdown)
    return process


def _draw_from_each() -> dict[str, float]:
    return {
        "random": random.random(),
        "numpy": float(np.random.random()),  # noqa: NPY002
        "keras": float(keras.random.uniform(())),
        "tensorflow": float(tf.random.uniform(())),
    }
