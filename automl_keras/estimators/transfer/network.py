"""The network of a backbone and a head, and the head alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidArgumentError, InvalidDataError
from automl_keras.estimators.transfer.backbone import Backbone, all_layers
from automl_keras.quantization.graph import Call, Copies, Graph

IMAGE, FEATURES, HIDDEN, DROPOUT, LOGITS = "image", "features", "hidden", "dropout", "logits"
RANGE, SIZE, CHANNELS = "to_backbone_range", "to_backbone_size", "to_backbone_channels"
NAMES = (IMAGE, RANGE, SIZE, CHANNELS, FEATURES, HIDDEN, DROPOUT, LOGITS)


class TransferNetwork:
    """A copy of a backbone between the user's images and a head.

    All layers lie open in one functional model: pixels are brought into the backbone's range, images to its size and a
    grey channel is repeated for a backbone of three; then come the backbone, global average pooling and the head.

    Args:
        backbone: The backbone.
        info: Facts about the data.
        architecture: Of `Backbone.space`; `head_units` and `dropout` are read here.
        seed: Seeds the weights of the head, and its dropout.

    Attributes:
        model: Raw pixels to logits.
        features: The same as far as to the pooled features, (batch, channels).

    Raises:
        InvalidDataError: If the backbone does not take the channels of the images.
        InvalidArgumentError: If the backbone cannot be built at its size.
    """

    def __init__(self, backbone: Backbone, info: DatasetInfo, architecture: Mapping[str, Any], *, seed: int) -> None:
        self._layers: list[keras.layers.Layer] = []
        self._prefix = _free_prefix({layer.name for layer in all_layers(backbone.model)})
        inputs = keras.Input(info.image_shape, name=self._prefix + IMAGE)
        features = self._features(_adapted(inputs, backbone, info, self._prefix), backbone)
        if len(features.shape) == 4:
            features = keras.layers.GlobalAveragePooling2D(name=self._prefix + FEATURES)(features)
        logits = head(features, architecture, info.num_outputs, seed=seed, prefix=self._prefix)
        self.model = keras.Model(inputs, logits, name="network")
        self.features = keras.Model(inputs, features, name="features")

    def take_head(self, trained: keras.Model) -> None:
        """Take over the weights of a head from `head_alone`."""
        for name in (HIDDEN, LOGITS):
            layers = [layer for layer in trained.layers if layer.name == name]
            for layer in layers:
                self.model.get_layer(self._prefix + name).set_weights(layer.get_weights())

    def unfreeze(self, share: float) -> None:
        """Make the last layers of the backbone trainable and all others of it not; the head always is.

        BatchNorm stays as it is, statistics, scales and offsets: "the updates applied to the non-trainable weights
        will suddenly destroy what the model has learned" (Keras's guide to transfer learning and fine-tuning, F.
        Chollet, 2020). The guide keeps the statistics and lets scales and offsets learn.

        Args:
            share: Of the layers with weights that are no BatchNorm, counted from the output.
        """
        normalization = [layer for layer in self._layers if isinstance(layer, keras.layers.BatchNormalization)]
        learning = [layer for layer in self._layers if layer.weights and layer not in normalization]
        count = math.ceil(share * len(learning))
        for layer in normalization:
            layer.trainable = False
        for place, layer in enumerate(learning):
            layer.trainable = place >= len(learning) - count

    def _features(self, images: keras.KerasTensor, backbone: Backbone) -> keras.KerasTensor:
        copies = Copies()

        def make(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            known = copies.get(call.layer)
            outputs = copies.call(call.layer, args, kwargs)
            made = copies.get(call.layer)
            if known is None and isinstance(made, keras.layers.Layer):
                self._layers.append(made)
            return outputs

        graph = Graph(backbone.model)
        try:
            return graph.replay(make, images)
        except ValueError as error:
            raise InvalidArgumentError(
                f"`size` must be one that the backbone can be built at. Received: size={backbone.size} for images of "
                f"shape {tuple(images.shape[1:])} in front of it ({error})"
            ) from error


def head(
    features: keras.KerasTensor, architecture: Mapping[str, Any], num_outputs: int, *, seed: int, prefix: str = ""
) -> keras.KerasTensor:
    """The logits of features (batch, channels)."""
    x, units = features, int(architecture["head_units"])
    if units:
        initializer = keras.initializers.HeNormal(seed=2 * seed)
        x = keras.layers.Dense(units, "relu", kernel_initializer=initializer, name=prefix + HIDDEN)(x)
    if architecture["dropout"] > 0:
        x = keras.layers.Dropout(float(architecture["dropout"]), seed=seed, name=prefix + DROPOUT)(x)
    initializer = keras.initializers.GlorotUniform(seed=2 * seed + 1)
    return keras.layers.Dense(num_outputs, kernel_initializer=initializer, name=prefix + LOGITS)(x)


def head_alone(num_features: int, architecture: Mapping[str, Any], num_outputs: int, *, seed: int) -> keras.Model:
    """The head as a network of its own: features, as images (1, 1, channels), to logits."""
    inputs = keras.Input((1, 1, num_features))
    features = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, head(features, architecture, num_outputs, seed=seed))


def _free_prefix(taken: set[str]) -> str:
    """What to put in front of the names of new layers, so that none is taken: nothing, as a rule."""
    prefix = ""
    while taken & {prefix + name for name in NAMES}:
        prefix += "new_"
    return prefix


def _adapted(images: keras.KerasTensor, backbone: Backbone, info: DatasetInfo, prefix: str) -> keras.KerasTensor:
    """Images as the backbone wants them."""
    channels, wanted = info.image_shape[2], int(backbone.model.input_shape[-1])
    if channels not in (1, wanted):
        raise InvalidDataError(
            f"`x` must have images of 1 channel or of those that the backbone takes, {wanted}. "
            f"Received: images of shape {info.image_shape}"
        )
    x = images
    if backbone.pixel_range is not None:
        black, white = (0.0, 255.0) if info.input_dtype == "uint8" else info.pixel_range
        low, high = backbone.pixel_range
        scale = (high - low) / ((white - black) or 1.0)
        # With a scale for each channel, a file gives them one operation each, as for networks of the image space.
        factors, offsets = [scale] * channels, [low - scale * black] * channels
        x = keras.layers.Rescaling(factors, offsets, name=prefix + RANGE)(x)
    size = backbone.input_size(info.image_shape)
    if size != info.image_shape[:2]:
        x = keras.layers.Resizing(*size, interpolation="bilinear", name=prefix + SIZE)(x)
    return keras.layers.Concatenate(name=prefix + CHANNELS)([x] * wanted) if channels != wanted else x
