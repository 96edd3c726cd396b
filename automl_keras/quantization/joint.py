"""Scoring architectures together with the bits of their layers, on shared weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from automl_keras.quantization.file_check import expected_weights
from automl_keras.search_space import ConvSpec
from automl_keras.supernet import SubnetScorer


class RoundedScorer(SubnetScorer):
    """Scores subnets whose kernels are rounded to the bits that their architecture says (`ConvSpec.bits`).

    Kernels are rounded per output channel, as in the file. BatchNorm, which a file folds into the kernel,
    multiplies each output channel by a number, and so its scale: the rounded kernel is the same before and after
    folding. Activations stay float, which in the file are int8: that costs all architectures about the same. The
    supernet must use plain slices of its kernels. Arguments as for `SubnetScorer`.
    """

    def score(self, architecture: Mapping[str, Any]) -> float:
        """Weighted share of the images that the rounded subnet gets right; leaves the supernet as it was."""
        with self._rounded(architecture):
            return super().score(architecture)

    @contextmanager
    def _rounded(self, architecture: Mapping[str, Any]) -> Iterator[None]:
        """The kernels of a subnet on the grid of their bits; they come back on leaving."""
        spec = self.supernet.space.network_spec(architecture)
        before = []
        try:
            for conv, _ in spec.convs():
                shared = self.supernet.get_layer(conv.name)
                kernel = shared.kernel.numpy()
                before.append((shared.kernel, kernel))
                shared.kernel.assign(_with_rounded_slice(kernel, conv))
            yield
        finally:
            for variable, kernel in before:
                variable.assign(kernel)


def _with_rounded_slice(kernel: np.ndarray, conv: ConvSpec) -> np.ndarray:
    """A shared kernel in which the slice of a subnet's convolution is rounded."""
    margin = (kernel.shape[0] - conv.kernel) // 2
    side = slice(margin, margin + conv.kernel)
    depthwise = conv.kind == "depthwise"
    place = (side, side, slice(conv.in_channels), slice(None) if depthwise else slice(conv.out_channels))
    codes, scales = expected_weights(kernel[place], 2 if depthwise else 3, conv.bits)
    assert scales is not None  # an integer width
    rounded = kernel.copy()
    rounded[place] = codes * (scales[:, None] if depthwise else scales)
    return rounded
