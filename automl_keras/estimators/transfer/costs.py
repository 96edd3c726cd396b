"""`BackboneNetworks`: the networks on a backbone, what their files cost, and whether a budget can be kept at all."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from automl_keras.data import DatasetInfo, Images
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.files_within import export_untuned
from automl_keras.estimators.mixed_files import widths
from automl_keras.estimators.spaces import NetworkSpaces
from automl_keras.estimators.transfer.backbone import Backbone
from automl_keras.estimators.transfer.network import TransferNetwork
from automl_keras.evaluation import Budget, Cost, Quantization
from automl_keras.evaluation.file_types import FILE_TYPES
from automl_keras.evaluation.network_cost import CHANNEL_BYTES, CONV_BYTES, ZERO_POINT_BYTES
from automl_keras.export import median_latency
from automl_keras.export.flatbuffer import read
from automl_keras.export.inspection import params_and_macs, peak_memory
from automl_keras.quantization import MixedPrecision
from automl_keras.search_space import Architecture

SIZE_MARGIN = 1.01


class BackboneNetworks(NetworkSpaces):
    """The networks on a backbone, as `Finisher` takes them.

    Their costs are those of the file of the smallest one, which is made and measured untrained, and what a larger head
    adds to it.

    Args:
        backbone: The backbone.
        info: Facts about the data.
        images: To calibrate that file with.
        quantization: Of the files.
        seed: Of weights and of the draw of images.

    Attributes:
        space: What can be chosen.
        smallest: The architecture of the smallest network.
        network: That network, before any training.
        build_seconds: What building it took.
        num_features: Channels of the pooled features.

    Raises:
        InvalidDataError: If the backbone does not take the channels of the images.
        InvalidArgumentError: If the backbone cannot be built at its size.
        ExportError: If the network cannot be made a file, such as one with an operation that is not known.
    """

    def __init__(
        self, backbone: Backbone, info: DatasetInfo, images: Images, *, quantization: Quantization = "int8", seed: int
    ) -> None:
        super().__init__(info, quantization=quantization)
        self.backbone = backbone
        self.space = backbone.space()
        self.smallest = self.space.canonical({"head_units": 0, "dropout": 0.0, "unfrozen": 0.0})
        start = time.monotonic()
        self.network = self.transfer_network(self.smallest, seed=seed)
        self.build_seconds = time.monotonic() - start
        self.num_features = int(self.network.features.output_shape[-1])
        self.network.model.layers[-1].bias.assign([1.0] * info.num_outputs)  # zeros would be left out of the file
        self._least = self._measured(self.network.model, images, seed)

    def transfer_network(self, architecture: Mapping[str, Any], *, seed: int) -> TransferNetwork:
        """The network of an architecture, with the backbone's weights and an untrained head."""
        return TransferNetwork(self.backbone, self.info, architecture, seed=seed)

    def build(self, architecture: Mapping[str, Any], *, seed: int) -> keras.Model:
        """The network of an architecture, with the backbone's weights and an untrained head."""
        return self.transfer_network(architecture, seed=seed).model

    def cost(self, architecture: Mapping[str, Any]) -> Cost:
        """The cost of the smallest network's file with another head in it; latency and memory are those of the file."""
        units, least = int(architecture["head_units"]), self._least
        if not units:
            return least
        outputs = self.info.num_outputs
        more = units * (self.num_features + outputs) - self.num_features * outputs
        file = FILE_TYPES[self.quantization]
        bits = file.depthwise_bits if file.weight_bits is None else file.weight_bits
        layer = CONV_BYTES + file.conv_bytes + (CHANNEL_BYTES + ZERO_POINT_BYTES + file.channel_bytes) * units
        return replace(
            least,
            params=(least.params or 0) + more + units,
            macs=(least.macs or 0) + more,
            size_kb=(least.size_kb or 0.0) + (more * bits / 8 + layer) / 1000,
            bit_ops=(least.bit_ops or 0) + more * bits * file.activation_bits,
        )

    def check_budget(self, budget: Budget) -> None:
        """Refuse a budget that the network with the smallest head breaks.

        Raises:
            InfeasibleBudgetError: Naming the smallest value of the limit that is broken.
        """
        for name, limit in budget.limits().items():
            least = getattr(self._least, name.removeprefix("max_"))
            if least > limit:
                raise InfeasibleBudgetError(
                    f"The backbone with the smallest head needs {name.removeprefix('max_')}={least:.6g}. "
                    f"Received: {name}={limit:g}"
                )

    def allows(self, architecture: Architecture, budget: Budget) -> bool:
        """Whether an architecture keeps the budget, as far as that can be predicted."""
        return architecture["head_units"] == 0 or budget.allows(
            replace(cost := self.cost(architecture), size_kb=SIZE_MARGIN * (cost.size_kb or 0.0))
        )

    def _measured(self, model: keras.Model, images: Images, seed: int) -> Cost:
        with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
            path = Path(folder) / "smallest.tflite"
            export_untuned(model, path, self.info, self.quantization, calibration_images=images, seed=seed)
            data = path.read_bytes()
        file = read(data)
        params, macs = params_and_macs(file)
        kind = FILE_TYPES[self.quantization]
        bits = kind.depthwise_bits if kind.weight_bits is None else kind.weight_bits
        cost = Cost(
            params=params,
            macs=macs,
            size_kb=len(data) / 1000,
            ram_kb=peak_memory(file) / 1000,
            latency_ms=median_latency(data),
            bit_ops=macs * bits * kind.activation_bits,
        )
        if self.quantization != "mixed":
            return cost
        network = MixedPrecision(model, self.info, images, bits=widths(), seed=seed)
        fewest = network.files.space.canonical(
            {decision.name: min(decision.options) for decision in network.files.space.decisions}
        )
        return replace(
            cost,
            size_kb=network.measured_size(fewest) / 1000,
            bit_ops=network.files.space.bit_ops(fewest),
        )
