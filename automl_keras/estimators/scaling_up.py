"""Search small, deploy large: a network that was found is made larger as a whole and trained from the start."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import Dataset, DatasetInfo, Images, ImageStore, split_indices
from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError, InvalidTypeError
from automl_keras.estimators.default_network import SIZE_MARGIN
from automl_keras.estimators.files_within import export_untuned, export_within
from automl_keras.estimators.latency import MARGIN
from automl_keras.evaluation import Budget, CostPredictor, Evaluation, LatencyTable, Quantization, network_cost
from automl_keras.export import TFLiteReport, median_latency
from automl_keras.search_space import (
    Architecture,
    ImageSearchSpace,
    NetworkSpec,
    ScalingCoefficients,
    build_network,
    compound_scale,
    image_space,
    largest_phi,
)
from automl_keras.training import Limit, recipe_space, train_network

HELD_OUT_SHARE = 0.1
RESIZE_BLOCK = 500
SLOWER_STEPS = 8  # times that a network which is too slow is made smaller
SMALLER = 0.8  # of phi


@dataclass(frozen=True)
class ScaledUp:
    """A larger relative of a network, trained and exported.

    Attributes:
        model: Raw pixels of the data's own size to outputs of the task.
        evaluation: Of the file.
        report: What was measured on the file.
        train: What it was trained on.
        held_out: What the file was measured on.
    """

    model: keras.Model
    evaluation: Evaluation
    report: TFLiteReport
    train: Dataset
    held_out: Dataset


class ScaleUp:
    """Scales a network up to a budget and trains it.

    A finer resolution is a layer in front that resizes the images, so the network takes what the small one took.

    Args:
        architecture: Of the image space.
        info: Facts about the data.
        budget: The limits of the larger device, at least one.
        coefficients: How depth, width and resolution grow together.
        seed: Of weights, order and split.
        quantization: Of the file.

    Raises:
        InvalidTypeError: If the network is not of the image space.
        InvalidArgumentError: If the budget has no limit.
    """

    def __init__(
        self,
        architecture: Architecture,
        info: DatasetInfo,
        budget: Budget,
        *,
        coefficients: ScalingCoefficients,
        seed: int,
        quantization: Quantization = "int8",
    ) -> None:
        self.quantization = quantization
        self.space = image_space(info.image_shape, info.num_outputs)
        if not set(architecture) <= set(self.space.names):
            raise InvalidTypeError(f"Only networks of the image space can be scaled up. Received: {dict(architecture)}")
        if not budget.limits():
            raise InvalidArgumentError("Scaling up needs a limit to scale up to. Received: budget=Budget()")
        self.architecture = architecture
        self.info = info
        self.budget = budget
        self.coefficients = coefficients
        self.seed = seed

    def scaled(self, images: Images) -> tuple[ImageSearchSpace, Architecture]:
        """The largest scaled network that keeps the budget: predicted, and with a latency limit also timed untrained.

        Args:
            images: To calibrate the timed file with.

        Raises:
            InfeasibleBudgetError: If the network itself breaks the budget.
        """
        phi = largest_phi(self.space, self.architecture, self._allows(), coefficients=self.coefficients)
        for step in range(SLOWER_STEPS + 1):
            factor = SMALLER**step if step < SLOWER_STEPS else 0.0
            space, scaled = compound_scale(self.space, self.architecture, factor * phi, coefficients=self.coefficients)
            if self.budget.max_latency_ms is None:
                return space, scaled
            if self._milliseconds(space, scaled, images) <= self.budget.max_latency_ms:
                return space, scaled
        raise InfeasibleBudgetError(
            f"The network found is too slow itself. Received: max_latency_ms={self.budget.max_latency_ms}"
        )

    def train(self, data: Dataset, path: Path, *, seconds: float) -> ScaledUp:
        """Train the scaled network, export and measure it on one image in ten, which it has not learnt from.

        Raises:
            InfeasibleBudgetError: If the network itself breaks the budget.
            ExportError: If the file does not work or breaks the budget.
        """
        learn, unseen = split_indices(data.images, self.info.task.strata(data.codes), HELD_OUT_SHARE, self.seed)
        train, held_out = data.take(learn), data.take(unseen)
        space, scaled = self.scaled(train.images)
        network = self._network(space, scaled)
        weights = train.sample_weight
        train_network(
            network,
            _resized(train.images, space),
            train.codes,
            recipe_space().default(),
            Limit(seconds=seconds),
            sample_weight=None if weights is None else (weights / weights.mean()).astype(np.float32),
            seed=self.seed,
            task=self.info.task,
        )
        model = self._with_resizing(network)
        report, cost = export_within(
            model,
            path,
            self.info,
            self.budget,
            CostPredictor(space, self.info, quantization=self.quantization)(scaled),
            held_out,
            calibration_images=train.images,
            seed=self.seed,
            quantization=self.quantization,
        )
        evaluation = Evaluation(scaled, {f"val_{self.info.task.metric}": report.score}, cost, "file")
        return ScaledUp(model, evaluation, report, train, held_out)

    def _allows(self) -> Callable[[NetworkSpec], bool]:
        limits, table = self.budget, None
        if limits.max_size_kb is not None:
            limits = replace(limits, max_size_kb=limits.max_size_kb / SIZE_MARGIN)
        if limits.max_latency_ms is not None:
            limits = replace(limits, max_latency_ms=MARGIN * limits.max_latency_ms)
            table = LatencyTable.measure(self.space, input_dtype=self.info.input_dtype, quantization=self.quantization)
        names = [str(label) for label in self.info.classes]

        def allows(spec: NetworkSpec) -> bool:
            kind: dict[str, Any] = {"input_dtype": self.info.input_dtype, "quantization": self.quantization}
            cost = network_cost(spec, class_names=names, **kind)
            if table is not None:
                cost = replace(cost, latency_ms=table.predict(spec, **kind))
            return limits.allows(cost)

        return allows

    def _milliseconds(self, space: ImageSearchSpace, scaled: Architecture, images: Images) -> float:
        with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
            path = Path(folder) / "untrained.tflite"
            model = self._with_resizing(self._network(space, scaled))
            export_untuned(model, path, self.info, self.quantization, calibration_images=images, seed=self.seed)
            return median_latency(path)

    def _network(self, space: ImageSearchSpace, scaled: Architecture) -> keras.Model:
        return build_network(
            space.network_spec(scaled), replace(self.info, image_shape=space.image_shape), seed=self.seed
        )

    def _with_resizing(self, network: keras.Model) -> keras.Model:
        if network.input_shape[1:] == self.info.image_shape:
            return network
        inputs = keras.Input(self.info.image_shape, name="image")
        size = network.input_shape[1:3]
        resized = keras.layers.Resizing(*size, interpolation="bilinear", name="resize")(inputs)
        return keras.Model(inputs, network(resized))


def _resized(images: Images, space: ImageSearchSpace) -> Images:
    """Images at the resolution of a space, in a temporary file, in the pixel type they came in."""
    size = space.image_shape[:2]
    if images.shape[1:3] == size:
        return images
    store = ImageStore(space.image_shape, images.dtype)
    for start in range(0, len(images), RESIZE_BLOCK):
        resized = tf.image.resize(images[start : start + RESIZE_BLOCK], size, method="bilinear").numpy()
        store.append(np.rint(resized) if images.dtype == np.uint8 else resized)
    return store.images()
