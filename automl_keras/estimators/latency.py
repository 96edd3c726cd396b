"""Keeping a latency limit: untrained networks are exported and timed before time is spent on training."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from automl_keras.data import DatasetInfo, Images
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.default_network import ImageCosts, smallest_networks
from automl_keras.export import export_int8, median_latency, runtime_name
from automl_keras.search_space import build_network

MARGIN = 0.9  # of the limit: a line through two networks is a rough guide to the others


class LatencyLimit:
    """Times files of untrained networks: a weight's value does not change how long it takes.

    Args:
        milliseconds: The limit for one image.
        predict_cost: For the space and the data at hand.
        info: Facts about the data.
        images: Images to calibrate with.
        seed: Seeds the weights.
    """

    def __init__(
        self,
        milliseconds: float,
        predict_cost: ImageCosts,
        info: DatasetInfo,
        images: Images,
        *,
        seed: int,
    ) -> None:
        self.milliseconds = milliseconds
        self.predict_cost = predict_cost
        self.info = info
        self.images = images
        self.seed = seed

    def measure(self, architecture: Mapping[str, Any]) -> float:
        """Milliseconds for one image: one thread, median of three measurements.

        What seems too slow is measured once more: other programs only ever make a network slower.
        """
        spec = self.predict_cost.space.network_spec(architecture)
        model = build_network(spec, self.info, seed=self.seed)
        with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
            path = Path(folder) / "untrained.tflite"
            export_int8(model, path, self.info, calibration_images=self.images, seed=self.seed)
            data = path.read_bytes()
        milliseconds = median_latency(data)
        return milliseconds if milliseconds <= self.milliseconds else min(milliseconds, median_latency(data))

    def allows(self, architecture: Mapping[str, Any]) -> bool:
        """Whether the file of an architecture is fast enough, measured."""
        return self.measure(architecture) <= self.milliseconds

    def max_macs(self) -> float:
        """How many multiply-accumulate operations the limit leaves room for.

        Read off a line through the smallest network and the default one, with a margin of a tenth.

        Raises:
            InfeasibleBudgetError: If the smallest network is too slow.
        """
        space = self.predict_cost.space
        small, usual = smallest_networks(space)[0], space.default()
        fastest = self.measure(small)
        if fastest > self.milliseconds:
            raise InfeasibleBudgetError(
                f"The smallest network of the search space needs latency_ms={fastest:.3g} on {runtime_name()}. "
                f"Received: max_latency_ms={self.milliseconds:g}"
            )
        least, macs = (self.predict_cost(architecture).macs or 0 for architecture in (small, usual))
        per_mac = (self.measure(usual) - fastest) / max(1, macs - least)
        if per_mac <= 0:  # networks so small that all take the same time
            return math.inf
        return float(least + np.maximum(0.0, MARGIN * self.milliseconds - fastest) / per_mac)
