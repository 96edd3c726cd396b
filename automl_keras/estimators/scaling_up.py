"""Search small, deploy large: a network that was found is made larger as a whole and trained from the start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import Dataset, DatasetInfo, Images, split_indices
from automl_keras.errors import ExportError, InvalidTypeError
from automl_keras.evaluation import Budget, CostPredictor, Evaluation, network_cost
from automl_keras.export import TFLiteReport, export_int8, measure_file
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
from automl_keras.training import Limit, predict, recipe_space, train_network

HELD_OUT_SHARE = 0.1
RESIZE_BLOCK = 1_000


@dataclass(frozen=True)
class ScaledUp:
    """A larger relative of a network, trained and exported.

    Attributes:
        model: Raw pixels of the data's own size to logits.
        evaluation: Of the file.
        report: What was measured on the file.
    """

    model: keras.Model
    evaluation: Evaluation
    report: TFLiteReport


def scale_up(
    architecture: Architecture,
    info: DatasetInfo,
    budget: Budget,
    data: Dataset,
    path: Path,
    *,
    seconds: float,
    coefficients: ScalingCoefficients,
    seed: int,
) -> ScaledUp:
    """Scale a network by the largest phi that the budget allows, train it, export and measure it.

    A finer resolution is a layer in front that resizes the images, so the network takes what the small one took.

    Args:
        architecture: Of the image space.
        info: Facts about the data.
        budget: The limits of the larger device.
        data: One image in ten is kept to measure the file on.
        path: Of the file.
        seconds: Of training.
        coefficients: How depth, width and resolution grow together.
        seed: Of weights, order and split.

    Raises:
        InvalidTypeError: If the network is not of the image space.
        InfeasibleBudgetError: If the network itself breaks the budget.
        ExportError: If the file does not work or breaks the budget.
    """
    space = image_space(info.image_shape, info.num_classes)
    if not set(architecture) <= set(space.names):
        raise InvalidTypeError(f"Only networks of the image space can be scaled up. Received: {dict(architecture)}")
    names = [str(label) for label in info.classes]

    def allows(spec: NetworkSpec) -> bool:
        return budget.allows(network_cost(spec, input_dtype=info.input_dtype, class_names=names))

    phi = largest_phi(space, architecture, allows, coefficients=coefficients)
    scaled_space, scaled = compound_scale(space, architecture, phi, coefficients=coefficients)
    learn, unseen = split_indices(data.images, data.codes, HELD_OUT_SHARE, seed)
    network = build_network(
        scaled_space.network_spec(scaled), replace(info, image_shape=scaled_space.image_shape), seed=seed
    )
    train_network(
        network,
        _resized(data.images[learn], scaled_space),
        data.codes[learn],
        recipe_space().default(),
        Limit(seconds=seconds),
        seed=seed,
    )
    model = _with_resizing(network, info)
    export_int8(model, path, info, calibration_images=data.images[learn], seed=seed)
    held_out = data.images[unseen]
    report = measure_file(path, held_out, data.codes[unseen], keras_predictions=predict(model, held_out))
    cost = replace(
        CostPredictor(scaled_space, info)(scaled),
        size_kb=report.size_kb,
        ram_kb=report.ram_kb,
        latency_ms=report.latency_ms,
    )
    violations = budget.violations(cost)
    if violations:
        raise ExportError(f"The file breaks the budget: {'; '.join(violations)}")
    return ScaledUp(model, Evaluation(scaled, {"val_accuracy": report.accuracy}, cost, "file"), report)


def _resized(images: Images, space: ImageSearchSpace) -> np.ndarray:
    """Images at the resolution of a space, in the pixel type they came in."""
    size = space.image_shape[:2]
    if images.shape[1:3] == size:
        return np.asarray(images[:])
    blocks = []
    for start in range(0, len(images), RESIZE_BLOCK):
        block = np.asarray(images[start : start + RESIZE_BLOCK])
        resized = tf.image.resize(block, size, method="bilinear").numpy()
        blocks.append(np.rint(resized).astype(block.dtype) if block.dtype.kind == "u" else resized.astype(block.dtype))
    return np.concatenate(blocks)


def _with_resizing(network: keras.Model, info: DatasetInfo) -> keras.Model:
    if network.input_shape[1:] == info.image_shape:
        return network
    inputs = keras.Input(info.image_shape, name="image")
    size = network.input_shape[1:3]
    return keras.Model(inputs, network(keras.layers.Resizing(*size, interpolation="bilinear", name="resize")(inputs)))
