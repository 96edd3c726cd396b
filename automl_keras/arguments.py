"""Checks of arguments; each refuses with a sentence that names the argument."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from types import UnionType
from typing import Any

from automl_keras.errors import InvalidArgumentError, InvalidTypeError


def check_count(name: str, value: Any, *, smallest: int = 1) -> int | None:
    """A whole number of at least `smallest`, or `None`.

    Raises:
        InvalidTypeError: If it is no integer.
        InvalidArgumentError: If it is too small.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidTypeError(f"`{name}` must be an integer or None. Received: {name}={value!r}")
    if value < smallest:
        raise InvalidArgumentError(f"`{name}` must be at least {smallest} or None. Received: {name}={value!r}")
    return int(value)


def check_seconds(name: str, value: Any) -> float | None:
    """A positive, finite number of seconds, or `None`.

    Raises:
        InvalidTypeError: If it is no number.
        InvalidArgumentError: If it is not positive and finite.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidTypeError(f"`{name}` must be a number of seconds or None. Received: {name}={value!r}")
    if not math.isfinite(value) or value <= 0:
        raise InvalidArgumentError(f"`{name}` must be positive and finite. Received: {name}={value!r}")
    return float(value)


def check_choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """One of a few values.

    Raises:
        InvalidArgumentError: If it is none of them.
    """
    if value not in list(choices):  # a set would raise for what has no hash
        raise InvalidArgumentError(f"`{name}` must be one of {sorted(choices, key=str)}. Received: {name}={value!r}")
    return value


def check_instance(name: str, value: Any, kind: type | UnionType) -> Any:
    """An object of a type.

    Raises:
        InvalidTypeError: If it is of another.
    """
    if not isinstance(value, kind):
        raise InvalidTypeError(
            f"`{name}` must be of type {getattr(kind, '__name__', kind)}. Received: {name}={value!r}"
        )
    return value
