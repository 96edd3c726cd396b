"""The supernet of the macro space: operations as branches, skip connections as factors 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.search_space import ConvSpec, MacroSearchSpace, PoolSpec
from automl_keras.search_space.macro_network import (
    norm_after_sum,
    operation_layers,
    reduction_layers,
    reductions,
    stem_convs,
)
from automl_keras.search_space.network import BN_EPSILON
from automl_keras.supernet.shared_conv import Mode, SharedConv
from automl_keras.supernet.supernet import DecisionReader, Supernet

Specs = tuple[ConvSpec | PoolSpec, ...]


class SharedBatchNorm(keras.layers.Layer):
    """BatchNorm over all channels, with the statistics of the batch or stored ones; see `SharedConv`.

    Args:
        spec: What it belongs to, of the kind "scale".
    """

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__(name=spec.name)
        self.spec = spec
        self.supports_jit = False

    def build(self) -> None:
        """Make the weights."""
        channels = (self.spec.out_channels,)
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")
        self.mean = self.add_weight(shape=channels, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=channels, initializer="ones", trainable=False, name="variance")
        self.built = True

    def normalize(self, x: tf.Tensor, mode: Mode, rate: tf.Tensor) -> tf.Tensor:
        """`x` of shape (batch, height, width, channels), normalised; mode and rate as in `SharedConv.convolve`."""
        stored = mode == "evaluate"
        result = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=self.mean.value if stored else tf.zeros((0,)),
            variance=self.variance.value if stored else tf.zeros((0,)),
            epsilon=BN_EPSILON,
            is_training=not stored,
        )
        if mode == "calibrate":
            for variable, batch in ((self.mean, result.batch_mean), (self.variance, result.batch_variance)):
                variable.value.assign_add(rate * (batch - variable.value))
        return result.y

    def values(self, spec: ConvSpec) -> Iterator[tuple[str, tf.Tensor]]:
        """See `SharedConv`."""
        yield "kernel", tf.ones((1, 1, spec.in_channels, 1))
        yield "gamma", self.gamma.value
        yield "beta", self.beta.value
        yield "moving_mean", self.mean.value
        yield "moving_variance", self.variance.value


class MacroSupernet(Supernet):
    """Every architecture of a `MacroSearchSpace` (Pham et al., ICML 2018, section 2.3).

    Operations are chosen by `tf.switch_case`; each has weights of its own in each layer. The outputs of earlier
    layers are added after multiplication with 0 or 1: `tf.cond` would save the additions of those that are not
    taken, and cost more than them in tracing. What halves the output of an earlier layer runs only if it is needed.

    Args:
        space: The macro space.
        info: Pixel statistics for the normalisation.
        seed: Seeds the initial weights.
    """

    space: MacroSearchSpace

    def make_weights(self) -> None:
        """See `Supernet`."""
        space, filters = self.space, self.space.num_filters
        layers = range(space.num_layers)
        self.stem_specs = stem_convs(space.image_shape, filters)
        self.operation_specs: dict[tuple[int, str], Specs] = {
            (layer, str(operation)): operation_layers(layer, str(operation), filters)
            for layer in layers
            for operation in space[f"layer{layer}_operation"].options
        }
        self.reduction_specs: dict[tuple[int, int], Specs] = {
            (end, layer): reduction_layers(end, layer, filters)
            for end in reductions(space.num_layers)
            for layer in range(end + 1)
        }
        parts = [self.stem_specs, *self.operation_specs.values(), *self.reduction_specs.values()]
        convs = [spec for part in parts for spec in part if isinstance(spec, ConvSpec)]
        for index, spec in enumerate(convs):
            setattr(self, spec.name, SharedConv(spec, seed=self.seed * 1000 + index))
        norms = [norm_after_sum(layer, filters) for layer in layers[1:]]
        for spec in norms:
            setattr(self, spec.name, SharedBatchNorm(spec))
        for spec in (*convs, *norms):
            getattr(self, spec.name).build()
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        self.head_kernel = self.add_weight(
            shape=(filters, space.num_classes), initializer=initializer, name="head_kernel"
        )
        self.head_bias = self.add_weight(shape=(space.num_classes,), initializer="zeros", name="head_bias")

    def groups(self) -> dict[Hashable, list[keras.Variable]]:
        """The trainable variables of each (layer, operation), and of what halves each (last layer before, layer).

        Stem, head, the BatchNorms after sums and what halves the path from layer to layer are in none.
        """
        parts: list[tuple[Hashable, Specs]] = [*self.operation_specs.items()]
        parts += [(key, self.reduction_specs[key]) for key in self._optional_reductions()]
        return {key: [variable for spec in part for variable in self._variables_of(spec)] for key, part in parts}

    def _variables_of(self, spec: ConvSpec | PoolSpec) -> list[keras.Variable]:
        return getattr(self, spec.name).trainable_variables if isinstance(spec, ConvSpec) else []

    def _optional_reductions(self) -> list[tuple[int, int]]:
        return [(end, layer) for end, layer in self.reduction_specs if layer < end]

    def taken(self, codes: np.ndarray) -> np.ndarray:
        """See `Supernet`."""
        space = self.space

        def chosen(name: str) -> np.ndarray:
            return np.array(space[name].options)[codes[..., space.names.index(name)]]

        columns = [chosen(f"layer{layer}_operation") == operation for layer, operation in self.operation_specs]
        columns += [
            np.any([chosen(name) for name in self._skips_over(end, layer)], axis=0)
            for end, layer in self._optional_reductions()
        ]
        return np.stack(columns, axis=-1)

    def _skips_over(self, end: int, layer: int) -> list[str]:
        """The skip connections from `layer` into layers after `end`."""
        return [f"layer{later}_skip{layer}" for later in range(end + 1, self.space.num_layers)]

    @tf.autograph.experimental.do_not_convert  # nothing here is for AutoGraph, and it slows tracing
    def forward(self, images: tf.Tensor, code: tf.Tensor, mode: Mode, rate: tf.Tensor | float = 1.0) -> tf.Tensor:
        """See `Supernet`."""
        read = DecisionReader(self.space, code)
        settings = {"mode": mode, "rate": tf.convert_to_tensor(rate, tf.float32)}
        x = self._run(self.stem_specs, self.normalized(images), settings)
        ends = reductions(self.space.num_layers)
        outputs: dict[tuple[int, int], tf.Tensor] = {}  # of each layer, by how often it has been halved
        for layer in range(self.space.num_layers):
            halved = sum(end < layer for end in ends)
            x = self._operation(x, layer, read, settings)
            for source in range(layer):
                x += tf.cast(read(f"layer{layer}_skip{source}"), tf.float32) * outputs[source, halved]
            if layer > 0:
                x = getattr(self, f"layer{layer}_norm").normalize(x, **settings)
            outputs[layer, halved] = x
            for end in ends[halved:]:
                x = self._halved(x, end, layer, read, settings)
                halved += 1
                outputs[layer, halved] = x
            x = outputs[layer, sum(end <= layer for end in ends)]
        return tf.matmul(tf.reduce_mean(x, axis=(1, 2)), self.head_kernel.value) + self.head_bias.value

    def _operation(self, x: tf.Tensor, layer: int, read: DecisionReader, settings: dict[str, Any]) -> tf.Tensor:
        branches: list[Callable[[], tf.Tensor]] = [
            lambda specs=specs: self._run(specs, x, settings)  # type: ignore[misc]
            for (at, _), specs in self.operation_specs.items()
            if at == layer
        ]
        return branches[0]() if len(branches) == 1 else tf.switch_case(read.index(f"layer{layer}_operation"), branches)

    def _halved(self, x: tf.Tensor, end: int, layer: int, read: DecisionReader, settings: dict[str, Any]) -> tf.Tensor:
        """The output `x` of `layer`, halved after layer `end`; zeros if no later layer reads it."""

        def halve() -> tf.Tensor:
            return self._run(self.reduction_specs[end, layer], x, settings)

        if layer == end:
            return halve()
        needed = tf.reduce_any([tf.cast(read(name), tf.bool) for name in self._skips_over(end, layer)])
        return tf.cond(needed, halve, lambda: tf.zeros_like(x[:, ::2, ::2]))

    def _run(self, specs: Specs, x: tf.Tensor, settings: dict[str, Any]) -> tf.Tensor:
        for spec in specs:
            if isinstance(spec, ConvSpec):
                x = getattr(self, spec.name).convolve(
                    x,
                    kernel=spec.kernel,
                    in_channels=spec.in_channels,
                    out_channels=spec.out_channels,
                    stride=spec.stride,
                    **settings,
                )
            else:
                pool = tf.nn.avg_pool2d if spec.kind == "average" else tf.nn.max_pool2d
                x = pool(x, spec.size, spec.stride, "SAME")
        return x

    def shared(
        self, network: keras.Model, architecture: Mapping[str, Any]
    ) -> Iterator[tuple[keras.Variable, tf.Tensor]]:
        """See `Supernet`."""
        for conv, _ in self.space.network_spec(architecture).convs():
            own = {variable.name: variable for variable in network.get_layer(conv.name).weights}
            own |= {variable.name: variable for variable in network.get_layer(f"{conv.name}_bn").weights}
            for name, value in getattr(self, conv.name).values(conv):
                yield own[name], value
        kernel, bias = network.get_layer("logits").weights
        yield kernel, self.head_kernel.value
        yield bias, self.head_bias.value
