"""`FakeQuantModel`: a network that computes what the file of any bit policy computes, and can be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import Images
from automl_keras.errors import ExportError, InvalidArchitectureError, InvalidArgumentError, InvalidDataError
from automl_keras.export.exporter import draw_images
from automl_keras.export.quantize import CALIBRATION_BATCH
from automl_keras.quantization.fake_quant_layers import FLOAT_BITS, MAX_INTEGER_BITS, int8_limits
from automl_keras.quantization.fake_quant_network import FakeQuantNetwork
from automl_keras.quantization.folding import foldable_norms
from automl_keras.quantization.graph import KERNEL_LAYERS, Call, Copies, Graph, has_weights

WEIGHT_BITS = (2, 3, 4, 8, 16, 32)
DEFAULT_BITS = 8
SMOOTHING = 0.95  # of the quantizer's moving average over the batches of a calibration
BATCH_SIZE = 100
BATCH_VALUES = 2**22  # input values of one batch at most; bounds the memory for large images


class FakeQuantModel:
    """A network whose weights and activations are rounded as in the `.tflite` file of a policy.

    Weights are on the exporter's grid, per output channel. Activations are rounded to 256 values where the file has
    an int8 tensor, with the scale that the file has; around a layer of float weights they are float, as there. Biases
    are rounded too. So the answers are those of the file where XNNPACK computes (8 bits, and fewer in fully
    connected layers); the kernels behind other widths now and then round to the other side. Not followed: an
    activation that comes from float weights and goes to several layers is rounded for all if it is for one.

    The bits are variables: one traced function serves every policy. Gradients pass straight through the rounding.

    Args:
        folded: Images to logits or, by a softmax at its end, probabilities; from `fold_batch_norm`. It is copied.

    Attributes:
        model: Images to logits, trainable; computes with the present policy, at first with float weights.
        kernels: What a policy may name: every layer with a kernel, and "name:1" for the second of `SeparableConv2D`.
        calibrated: Whether activations are rounded.

    Raises:
        InvalidArgumentError: If a BatchNorm could still be folded, or as for `fold_batch_norm`.
    """

    def __init__(self, folded: keras.Model) -> None:
        self._graph = Graph(folded)
        if norms := foldable_norms(self._graph):
            names = sorted(norm.layer.name for norm in norms.values())
            raise InvalidArgumentError(f"`folded` must come from `fold_batch_norm`. Received: with BatchNorm {names}")
        self._network = FakeQuantNetwork(self._graph)
        self.model: keras.Model = self._network.model
        self.kernels: tuple[str, ...] = tuple(self._network.kernels)
        self.calibrated = False
        self._policy: dict[str, int] = {}

    def set_policy(self, policy: Mapping[str, Any]) -> None:
        """Compute with other bits from now on.

        Args:
            policy: Name of a kernel to 2, 3, 4, 8 (integers), 16 (float16) or 32 (float32). A kernel that is not
                named has 8.

        Raises:
            InvalidArchitectureError: If a name or a number is another one.
        """
        for name, bits in policy.items():
            if name not in self.kernels or bits not in WEIGHT_BITS:
                raise InvalidArchitectureError(
                    f"A policy must give kernels of {self.kernels} bits of {WEIGHT_BITS}. Received: {name}={bits!r}"
                )
        self._policy = {name: int(policy.get(name, DEFAULT_BITS)) for name in self.kernels}
        self._assign(self._policy)

    def calibrate(
        self,
        images: Images,
        *,
        seed: int,
        pixel_range: tuple[float, float],
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        """Set the limits of the activations by the exporter's rule; from then on activations are rounded.

        The same images are drawn as for a file. Extremes of batches of 10 are averaged exponentially, computed with
        float activations. With float weights these are the limits that `PolicyFiles` gives to all policies. The file
        of a fine-tuned network, `hardened`, is calibrated anew, with the weights that it has by then: `policy`
        gives the same limits. The policy set last stays; before there is one, all kernels have 8 bits.

        Args:
            images: Shape `(n, height, width, channels)`, in the user's units; at most 200, drawn by `seed`, count.
            seed: Seeds the draw.
            pixel_range: `(smallest, largest)` pixel value; see `pixels_to_represent`.
            policy: Weights to compute with: on the grid of a policy, or float.

        Raises:
            InvalidDataError: If the images do not fit.
            ExportError: If an activation is not finite.
            InvalidArchitectureError: As for `set_policy`.
        """
        self._check_images(images)
        present, self.calibrated = self._policy, False
        self.set_policy(dict.fromkeys(self.kernels, FLOAT_BITS) if policy is None else policy)
        drawn = draw_images(images, seed)
        batches = [drawn[start : start + CALIBRATION_BATCH] for start in range(0, len(drawn), CALIBRATION_BATCH)]
        average = self._extremes(tf.constant(batches[0])).numpy()
        for batch in batches[1:]:
            average = SMOOTHING * average + (1.0 - SMOOTHING) * self._extremes(tf.constant(batch)).numpy()
        if not np.isfinite(average).all():
            raise ExportError("Activations must be finite. Received: NaN or infinity in the calibration")
        shape = self.model.input_shape[1:]
        possible = self._extremes(tf.stack([tf.fill(shape, float(limit)) for limit in pixel_range])).numpy()
        for tensor, measured, follows in zip(self._network.tensors, average, possible, strict=True):
            extremes = follows if tensor.from_pixels else measured
            tensor.quantizer.limits.assign(int8_limits(*(tensor.fixed or extremes)))
        self.calibrated = True
        self.set_policy(present)

    def predict(self, images: Images) -> np.ndarray:
        """Class probabilities as a file of the present policy gives them, float32 of shape (n, classes).

        Args:
            images: Shape `(n, height, width, channels)`, in the user's units.

        Raises:
            InvalidDataError: If there are no images, or they have another shape.
        """
        self._check_images(images)
        step = max(1, min(BATCH_SIZE, BATCH_VALUES // int(np.prod(images.shape[1:]))))
        batches = [images[start : start + step] for start in range(0, len(images), step)]
        return np.concatenate([self._probabilities(tf.constant(batch, tf.float32)).numpy() for batch in batches])

    def hardened(self) -> keras.Model:
        """A plain Keras network with the weights of the present policy on their grid; outputs as those of `folded`.

        A file that is made from it with the same policy stores the same codes: the largest weight of a channel is a
        multiple of the scale, so the exporter finds the same scale again.
        """

        copies = Copies()

        def make(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            weights = self._stored_weights(call.layer) if has_weights(call.layer) else None
            return copies.call(call.layer, args, kwargs, weights=weights)

        return self._graph.rebuild(make)

    def _stored_weights(self, layer: keras.layers.Layer) -> list[np.ndarray]:
        if type(layer) not in KERNEL_LAYERS:
            return self._network.layers.get(layer.name, layer).get_weights()
        names = [name for name in (layer.name, f"{layer.name}:1") if name in self.kernels]
        kernels = [self._network.kernels[name] for name in names]
        stored = [kernel.stored_kernel().numpy() for kernel in kernels]
        return [*stored, np.asarray(kernels[-1].layer.bias)] if layer.use_bias else stored

    def _assign(self, policy: Mapping[str, int]) -> None:
        for name, kernel in self._network.kernels.items():
            kernel.bits.assign(policy[name])
            given, in_int8 = self._network.inputs[name], self.calibrated and policy[name] <= MAX_INTEGER_BITS
            kernel.input_scale.assign(given[0].scale() * abs(given[1]) if given is not None and in_int8 else 0.0)
        for tensor in self._network.tensors:
            in_int8 = tensor.others or any(policy[name] <= MAX_INTEGER_BITS for name in tensor.kernels)
            tensor.quantizer.enabled.assign(self.calibrated and in_int8)
        for operand in self._network.operands:
            operand.enabled.assign(self.calibrated)

    @cached_property
    def _probabilities(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Probabilities of a batch; traced once for all policies."""
        return self._traced(lambda images: tf.nn.softmax(self.model(images, training=False)))

    @cached_property
    def _extremes(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Smallest and largest value of every activation that is int8 in the file, of shape (activations, 2)."""
        observed = keras.Model(self.model.inputs, [tensor.before for tensor in self._network.tensors])

        def measure(images: tf.Tensor) -> tf.Tensor:
            values = observed(images, training=False)
            return tf.stack([[tf.reduce_min(value), tf.reduce_max(value)] for value in values])

        return self._traced(measure)

    def _traced(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
        images = tf.TensorSpec((None, *self.model.input_shape[1:]), tf.float32)
        return tf.function(function, autograph=False).get_concrete_function(images)

    def _check_images(self, images: Images) -> None:
        shape = tuple(self.model.input_shape[1:])
        if len(images) == 0 or tuple(images.shape[1:]) != shape:
            raise InvalidDataError(
                f"`images` must be images of shape {shape}, at least one. Received: shape={images.shape}"
            )
