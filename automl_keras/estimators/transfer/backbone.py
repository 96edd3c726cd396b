"""`Backbone`: a trained Keras model whose features a classifier is built on, and what can be chosen about that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import keras
import numpy as np

from automl_keras.arguments import check_instance
from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.quantization.graph import check_kind
from automl_keras.search_space import Decision, SearchSpace
from automl_keras.training import layer_identity
from automl_keras.tuners import System

HEAD_UNITS = (0, 128)
DROPOUTS = (0.0, 0.2, 0.5)
LEARNING_RATES = (1e-3, 3e-3, 1e-4)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A trained Keras model whose features networks are built on.

    ```python
    pretrained = keras.applications.MobileNetV2(alpha=0.35, input_shape=(96, 96, 3), include_top=False)
    clf = ImageClassifier(backbone=Backbone(pretrained, pixel_range=(-1, 1)))
    ```

    Attributes:
        model: Images to features, of shape (batch, height, width, channels) or (batch, channels), with the weights to
            begin with. It is copied, never changed. Functional or Sequential, with 1 or 3 channels of input; without
            the layers that tell its own classes apart: `keras.Model(model.input, model.get_layer("pool").output)`.
        pixel_range: What the model was trained to see for black and for white: (0, 255), (0, 1), (-1, 1). Black and
            white of your images are 0 and 255 if they are bytes, else the smallest and the largest pixel of the
            training images. `None`: the model takes the pixels of your images as they are.
        size: (height, width) at which the model looks at images; those of another size are resized inside the
            network, so that the file takes yours. `None`: the size that the model was made for, or that of your images
            if it takes any. Features of other sizes than it was trained at are worse, and cost as the square of it.
        unfrozen: Shares in (0, 1] of the model's layers with weights, counted from its output, that are tried to be
            fine-tuned. The frozen model is tried always, and alone for ().

    Raises:
        InvalidTypeError: If an attribute is of a wrong type.
        InvalidArgumentError: If the model has several inputs or outputs, ends in a softmax, holds a `Lambda` layer,
            which a saved project could not load, or an attribute is out of range.
    """

    model: keras.Model
    pixel_range: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    unfrozen: tuple[float, ...] = (0.3, 1.0)

    def __post_init__(self) -> None:
        check_instance("model", self.model, keras.Model)
        check_kind(self.model)
        channels = self.model.input_shape[-1]
        if len(self.model.input_shape) != 4 or channels not in (1, 3) or len(self.model.output_shape) not in (2, 4):
            raise InvalidArgumentError(
                "`model` must take images (batch, height, width, 1 or 3) and return features (batch, height, width, "
                f"channels) or (batch, channels). Received: input_shape={self.model.input_shape}, "
                f"output_shape={self.model.output_shape}"
            )
        if ends_in_softmax(self.model):
            raise InvalidArgumentError(
                "`model` must end in features, not in probabilities of its own classes: give `include_top=False`, or "
                f"`keras.Model(model.input, model.layers[-2].output)`. Received: model={self.model.name!r}"
            )
        if any(isinstance(layer, keras.layers.Lambda) for layer in all_layers(self.model)):
            raise InvalidArgumentError(
                f"`model` must have no `Lambda` layers: saved, they could not be loaded. "
                f"Received: model={self.model.name!r}"
            )
        _check_numbers(self)

    def identity(self) -> dict[str, Any]:
        """What must be the same for a project to be that of this backbone, as JSON."""
        digest = hashlib.sha256(str(self.model.input_shape).encode())
        for layer in all_layers(self.model):
            digest.update(layer_identity(layer).encode())
        for weight in self.model.get_weights():
            digest.update(str(weight.shape).encode() + np.ascontiguousarray(weight).tobytes())
        return {
            "weights": digest.hexdigest(),
            "pixel_range": None if self.pixel_range is None else list(self.pixel_range),
            "size": None if self.size is None else list(self.size),
            "unfrozen": list(self.unfrozen),
        }

    def space(self) -> SearchSpace:
        """What can be chosen.

        - `head_units`: units of a dense layer with a ReLU between features and logits; 0 for none.
        - `dropout`: share of its inputs that the last layer does not see in training.
        - `unfrozen`: share of the backbone's layers that are fine-tuned; 0 for none.
        - `learning_rate`: of the fine-tuning, the highest of its cycle.
        """
        unfrozen = tuple(sorted(map(float, self.unfrozen)))
        decisions = [Decision("head_units", HEAD_UNITS), Decision("dropout", DROPOUTS, default=0.2)]
        decisions.append(Decision("unfrozen", (0.0, *unfrozen), default=max((0.0, *unfrozen))))
        if unfrozen:
            decisions.append(Decision("learning_rate", LEARNING_RATES, parent=("unfrozen", unfrozen)))
        return SearchSpace(decisions)

    def input_size(self, image_shape: tuple[int, int, int]) -> tuple[int, int]:
        """(height, width) at which the model looks at images of a shape."""
        if self.size is not None:
            return self.size
        height, width = self.model.input_shape[1:3]
        return image_shape[0] if height is None else height, image_shape[1] if width is None else width


def as_backbone(value: Any) -> Backbone:
    """What the user gave as `backbone`.

    Raises:
        InvalidTypeError: If it is neither a `Backbone` nor a Keras model.
        InvalidArgumentError: If the model cannot be one.
    """
    return Backbone(value) if isinstance(value, keras.Model) else check_instance("backbone", value, Backbone)


def ends_in_softmax(model: keras.Model) -> bool:
    """Whether a model returns probabilities."""
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        return ends_in_softmax(last)
    return isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model and of the models in it."""
    found = []
    for layer in model.layers:
        found += all_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _check_numbers(backbone: Backbone) -> None:
    """Refuse attributes that are out of range."""
    for name, values in (
        ("pixel_range", backbone.pixel_range),
        ("size", backbone.size),
        ("unfrozen", backbone.unfrozen),
    ):
        if values is None and name != "unfrozen":
            continue
        if not isinstance(values, tuple | list) or not all(
            isinstance(value, Real) and not isinstance(value, bool) for value in values
        ):
            raise InvalidTypeError(f"`{name}` must be a tuple of numbers. Received: {name}={values!r}")
    if backbone.pixel_range is not None:
        low, high = backbone.pixel_range if len(backbone.pixel_range) == 2 else (0.0, 0.0)
        if not -np.inf < low < high < np.inf:
            raise InvalidArgumentError(
                f"`pixel_range` must be two finite numbers, the smaller first. "
                f"Received: pixel_range={backbone.pixel_range!r}"
            )
    if backbone.size is not None and (
        len(backbone.size) != 2 or any(side < 1 or side != int(side) for side in backbone.size)
    ):
        raise InvalidArgumentError(f"`size` must be two positive whole numbers. Received: size={backbone.size!r}")
    if not all(0 < share <= 1 for share in backbone.unfrozen) or len(set(backbone.unfrozen)) != len(backbone.unfrozen):
        raise InvalidArgumentError(
            f"`unfrozen` must be different shares above 0, at most 1. Received: unfrozen={backbone.unfrozen!r}"
        )


def check_backbone(parameters: Mapping[str, Any], system: System) -> Backbone | None:
    """The backbone that an estimator was given, `None` if there is none.

    Args:
        parameters: The estimator's arguments.
        system: The one that `tuner` names.

    Raises:
        InvalidTypeError: If it is neither a `Backbone` nor a Keras model.
        InvalidArgumentError: If the model cannot be one, or another argument does not go with a backbone.
    """
    if parameters.get("backbone") is None:
        return None
    backbone = as_backbone(parameters["backbone"])
    search_space, refit, distribute = (parameters[name] for name in ("search_space", "refit", "distribute"))
    if search_space != "auto" or refit or distribute is not None or parameters["quantization"] == "joint":
        raise InvalidArgumentError(
            "With a `backbone`, `search_space`, `refit` and `distribute` must be left as they are, and `quantization` "
            f"must not be 'joint'. Received: search_space={search_space!r}, refit={refit}, distribute={distribute!r}, "
            f"quantization={parameters['quantization']!r}"
        )
    if system.policy is not None:
        raise InvalidArgumentError(
            f"`tuner` must name a strategy that needs no supernet where there is a `backbone`. "
            f"Received: tuner={parameters['tuner']!r}"
        )
    return backbone
