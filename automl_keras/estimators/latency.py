"""Keeping a latency limit: untrained networks are exported and timed before time is spent on training."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automl_keras.data import Images
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.default_network import smallest_networks
from automl_keras.estimators.files_within import export_untuned
from automl_keras.estimators.spaces import NetworkSpaces
from automl_keras.evaluation import LatencyTable
from automl_keras.export import median_latency, runtime_name
from automl_keras.search_space import Architecture, ImageSearchSpace, NetworkSpace

MARGIN = 0.9  # of the limit: the table is a guide, and files are timed whole
NETWORKS, FEW_NETWORKS = 24, 8  # for the table; few where time is short
ENOUGH_SECONDS = 120.0


class LatencyLimit:
    """Predicts and times files of untrained networks: a weight's value does not change how long it takes.

    Args:
        milliseconds: The limit for one image.
        spaces: Of all networks.
        images: Images to calibrate with.
        seconds: The time limit of the fit, `None` for none; where it is short, the table is rougher.
        seed: Seeds the weights.
        folder: Of the project, which keeps the tables: a fit that goes on predicts what it predicted before. `None`
            keeps them as long as this object.
    """

    def __init__(
        self,
        milliseconds: float,
        spaces: NetworkSpaces,
        images: Images,
        *,
        seconds: float | None,
        seed: int,
        folder: Path | None = None,
    ) -> None:
        self.milliseconds = milliseconds
        self.spaces = spaces
        self.images = images
        self.seconds = seconds
        self.seed = seed
        self.folder = folder
        self._tables: dict[type[NetworkSpace], LatencyTable] = {}

    def measure(self, architecture: Mapping[str, Any]) -> float:
        """Milliseconds for one image: one thread, median of three measurements.

        What seems too slow is measured once more: other programs only ever make a network slower.
        """
        model = self.spaces.build(architecture, seed=self.seed)
        with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
            path = Path(folder) / "untrained.tflite"
            export_untuned(
                model, path, self.spaces.info, self.spaces.quantization, calibration_images=self.images, seed=self.seed
            )
            data = path.read_bytes()
        milliseconds = median_latency(data)
        return milliseconds if milliseconds <= self.milliseconds else min(milliseconds, median_latency(data))

    def allows(self, architecture: Mapping[str, Any]) -> bool:
        """Whether the file of an architecture is fast enough, measured."""
        return self.measure(architecture) <= self.milliseconds

    def first_allowed(self, networks: Sequence[Architecture]) -> Architecture:
        """The first of some networks that is fast enough.

        Raises:
            InfeasibleBudgetError: If all are too slow.
        """
        fastest = math.inf
        for network in networks:
            fastest = min(fastest, self.measure(network))
            if fastest <= self.milliseconds:
                return network
        raise InfeasibleBudgetError(
            f"The smallest network of the search space needs latency_ms={fastest:.3g} on {runtime_name()}. "
            f"Received: max_latency_ms={self.milliseconds:g}"
        )

    def predicted_limit(self, space: ImageSearchSpace) -> float:
        """Milliseconds that predictions must keep; the first of the smallest networks that is fast enough does.

        Raises:
            InfeasibleBudgetError: If all of those are too slow.
        """
        fast = self.first_allowed(smallest_networks(space))
        predicted = self.table(space).predict(
            space.network_spec(fast), input_dtype=self.spaces.info.input_dtype, quantization=self.spaces.quantization
        )
        return max(MARGIN * self.milliseconds, predicted)

    def table(self, space: NetworkSpace) -> LatencyTable:
        """Predicts the networks of a space; measured once for each kind of space."""
        kind = type(space)
        if kind not in self._tables:
            self._tables[kind] = self._kept_table(space)
        return self._tables[kind]

    def _kept_table(self, space: NetworkSpace) -> LatencyTable:
        """The project's own table for a kind of space: the user's one changes with every other project."""
        path = None if self.folder is None else self.folder / f"latency_{type(space).__name__}.json"
        if path is not None and path.is_file():
            return LatencyTable.load(path)
        is_short = self.seconds is not None and self.seconds < ENOUGH_SECONDS
        table = LatencyTable.measure(
            space,
            input_dtype=self.spaces.info.input_dtype,
            quantization=self.spaces.quantization,
            networks=FEW_NETWORKS if is_short else NETWORKS,
        )
        if path is not None:
            table.save(path)
        return table
