"""Times of operations that were not measured, fitted to those that were."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import nnls

from automl_keras.errors import InvalidArgumentError
from automl_keras.export.operations import OperationSpec

MIN_GROUP = 6  # measured operations, for the four coefficients of a group

Group = tuple[str | int, ...]


class FittedTimes:
    """Milliseconds of an operation, from its sizes.

    For each kind of operation, kernel, stride and type: a constant, plus a share for each multiply-accumulate
    operation, for each value read or written and for each position of the output. The last one is there
    because kernels compute channels in blocks: with few channels, a convolution takes the same time for
    each position however many it has. The coefficients minimise the sum of the squared relative errors and are never
    negative, so that a larger operation is never predicted to be faster. A group with fewer than six
    measured operations shares the coefficients of its kind and type.

    Args:
        entries: Milliseconds of the measured operations, above 0.
    """

    def __init__(self, entries: Mapping[OperationSpec, float]) -> None:
        members: dict[Group, list[OperationSpec]] = {}
        for spec in entries:
            for group in _groups(spec):
                members.setdefault(group, []).append(spec)
        self._coefficients = {
            group: _fit(specs, np.array([entries[spec] for spec in specs]))
            for group, specs in members.items()
            if len(specs) >= MIN_GROUP or group == _groups(specs[0])[-1]
        }

    def __call__(self, spec: OperationSpec) -> float:
        """Milliseconds of an operation.

        Raises:
            InvalidArgumentError: If no operation of its kind and type was measured.
        """
        for group in _groups(spec):
            if group in self._coefficients:
                return float(self._coefficients[group] @ _features(spec))
        known = sorted({f"{group[0]} {group[-1]}" for group in self._coefficients})
        raise InvalidArgumentError(
            f"The table must hold an operation of the kind that is asked for, out of {known}. "
            f"Received: kind={spec.kind!r}, dtype={spec.dtype!r}"
        )


def _groups(spec: OperationSpec) -> tuple[Group, Group]:
    """The group of an operation, and the wider one for when it is too small."""
    return (spec.kind, spec.inputs, spec.kernel, spec.stride, spec.dtype), (spec.kind, spec.dtype)


def _features(spec: OperationSpec) -> np.ndarray:
    return np.array([1.0, spec.macs, spec.activations, spec.positions])


def _fit(specs: list[OperationSpec], milliseconds: np.ndarray) -> np.ndarray:
    features = np.array([_features(spec) for spec in specs])
    scale = features.max(axis=0).clip(min=1.0)  # numbers of one magnitude, for the solver
    coefficients, _ = nnls(features / scale / milliseconds[:, None], np.ones(len(specs)))
    return coefficients / scale
