"""`Supernet`: one network that holds the weights of every architecture of an image space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data.info import DatasetInfo
from automl_keras.search_space import ConvSpec, ImageSearchSpace, build_network
from automl_keras.supernet.shared_conv import Mode, SharedConv, Size


class Supernet(keras.Model):
    """Every architecture of a space as a path through shared weights.

    The present architecture is the non-trainable int32 variable `architecture_code`; operations are
    chosen by `tf.switch_case`, depth by `tf.cond`, and kernel and widths by slices whose sizes are read
    from the variable. So one traced graph serves all architectures, and untaken branches are not run.

    Sizes are shared as slices within an operation; different operations have weights of their own.

    Args:
        space: The image space.
        info: Pixel statistics for the normalisation.
        seed: Seeds the initial weights.
    """

    def __init__(self, space: ImageSearchSpace, info: DatasetInfo, *, seed: int = 0) -> None:
        super().__init__(name="supernet")
        self.space = space
        self.info = info
        self.seed = seed
        self.supports_jit = False

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, each at its largest."""
        initial = self.space.encode(self.space.default())
        self.architecture_code = self.add_weight(
            shape=initial.shape,
            dtype="int32",
            initializer=lambda shape, dtype: tf.constant(initial, dtype),
            trainable=False,
            name="architecture_code",
        )
        self.stem_spec, self.block_specs = self._largest_convs()
        for index, spec in enumerate(
            [self.stem_spec, *(conv for block in self.block_specs.values() for conv in block)]
        ):
            setattr(self, spec.name, SharedConv(spec, seed=self.seed * 1000 + index))
            self.conv(spec.name).build()
        features = max(int(width) for width in self.space[f"stage{self.space.num_stages - 1}_width"].options)
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        self.head_kernel = self.add_weight(
            shape=(features, self.space.num_classes), initializer=initializer, name="head_kernel"
        )
        self.head_bias = self.add_weight(shape=(self.space.num_classes,), initializer="zeros", name="head_bias")
        self.built = True

    def _largest_convs(self) -> tuple[ConvSpec, dict[tuple[int, str, int], tuple[ConvSpec, ...]]]:
        blocks = {}
        operations = {str(o) for d in self.space.decisions if d.name.endswith("_operation") for o in d.options}
        for operation in sorted(operations):
            network = self.space.network_spec(self.space.extreme(largest=True, operation=operation))
            for block in network.blocks:
                blocks[block.stage, block.operation, block.index] = block.convs
        return network.stem, blocks

    def conv(self, name: str) -> SharedConv:
        """The shared convolution of a name."""
        return getattr(self, name)

    def groups(self) -> dict[tuple[int, str, int], list[keras.Variable]]:
        """The trainable variables of each (stage, operation, block); stem and head are in none."""
        return {
            key: [variable for conv in convs for variable in self.conv(conv.name).trainable_variables]
            for key, convs in self.block_specs.items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments and weights: Keras would need a registered class with a config."""
        return _rebuilt, (self.space, self.info, self.seed, [weight.value.numpy() for weight in self.weights])

    def set_architecture(self, architecture: Mapping[str, Any]) -> None:
        """Make `call` compute this architecture from now on."""
        self.architecture_code.assign(self.space.encode(self.space.canonical(architecture)))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of the present architecture.

        Args:
            inputs: (batch, height, width, channels), raw pixels.
            training: Batch statistics if true; the calibrated statistics otherwise.
        """
        return self.forward(inputs, self.architecture_code.value, "train" if training else "evaluate")

    @tf.autograph.experimental.do_not_convert  # nothing here is for AutoGraph, and it slows tracing
    def forward(self, images: tf.Tensor, code: tf.Tensor, mode: Mode, rate: tf.Tensor | float = 1.0) -> tf.Tensor:
        """Logits of the architecture `code` (int32, as `SearchSpace.encode` gives it).

        Args:
            images: (batch, height, width, channels), raw pixels.
            code: Option indices.
            mode: As in `SharedConv.convolve`.
            rate: As in `SharedConv.convolve`.
        """
        read = _Reader(self.space, code)
        mean, std = (tf.constant(v, tf.float32) for v in (self.info.pixel_mean, self.info.pixel_std))
        x = (tf.cast(images, tf.float32) - mean) / std
        channels: Size = read("stage0_width")
        full = read("full_resolution")
        settings = {"mode": mode, "rate": tf.convert_to_tensor(rate, tf.float32)}
        x = self.conv("stem").convolve(
            x,
            kernel=self.stem_spec.kernel,
            in_channels=self.stem_spec.in_channels,
            out_channels=channels,
            stride=_stride(full, 0),
            **settings,
        )
        for stage in range(self.space.num_stages):
            stride = _stride(full, 1) if stage == 0 else 2
            x = self._stage(x, stage, channels, stride, read, settings)
            channels = read(f"stage{stage}_width")
        x = tf.reduce_mean(x, axis=(1, 2))
        return tf.matmul(x, self.head_kernel.value[:channels]) + self.head_bias.value

    def _stage(
        self, x: tf.Tensor, stage: int, channels: Size, stride: Size, read: _Reader, settings: dict[str, Any]
    ) -> tf.Tensor:
        depths = [int(depth) for depth in self.space[f"stage{stage}_depth"].options]
        depth = read(f"stage{stage}_depth")
        width = read(f"stage{stage}_width")

        def run(operation: str) -> tf.Tensor:
            y = self._block((stage, operation, 0), x, channels, width, stride, read, settings)
            for index in range(1, max(depths)):

                def block(y: tf.Tensor = y, index: int = index) -> tf.Tensor:
                    return y + self._block((stage, operation, index), y, width, width, 1, read, settings)

                y = block() if index < min(depths) else tf.cond(depth > index, block, lambda y=y: y)
            return y

        operations = [str(option) for option in self.space[f"stage{stage}_operation"].options]
        if len(operations) == 1:
            return run(operations[0])
        branches: list[Callable[[], tf.Tensor]] = [lambda o=o: run(o) for o in operations]  # type: ignore[misc]
        return tf.switch_case(read.index(f"stage{stage}_operation"), branches)

    def _block(
        self,
        key: tuple[int, str, int],
        x: tf.Tensor,
        in_channels: Size,
        out_channels: Size,
        stride: Size,
        read: _Reader,
        settings: dict[str, Any],
    ) -> tf.Tensor:
        stage, operation, _ = key
        kernel = read(f"stage{stage}_kernel")
        middle = out_channels if operation == "residual" else in_channels * read(f"stage{stage}_expansion")
        convs = self.block_specs[key]
        sizes = [in_channels, *[middle] * (len(convs) - 1), out_channels]
        for conv, before, after in zip(convs, sizes, sizes[1:], strict=False):
            side = 1 if conv.kernel == 1 else kernel
            step = 1 if conv.kernel == 1 else stride
            x = self.conv(conv.name).convolve(
                x, kernel=side, in_channels=before, out_channels=after, stride=step, **settings
            )
        return x

    def subnet(self, architecture: Mapping[str, Any]) -> keras.Model:
        """An ordinary Keras model that computes what the supernet computes with this architecture.

        Its weights are copies of the shared slices; its BatchNorm statistics are the stored ones, so
        they fit only if the supernet has been calibrated for this architecture.
        """
        network = build_network(self.space.network_spec(architecture), self.info, seed=self.seed)
        for target, source, part in self._shared(network, architecture):
            target.assign(source.value[part])
        return network

    def _shared(
        self, network: keras.Model, architecture: Mapping[str, Any]
    ) -> Iterator[tuple[keras.Variable, keras.Variable, tuple[slice, ...]]]:
        spec = self.space.network_spec(architecture)
        for conv, _ in spec.convs():
            own = {variable.name: variable for variable in network.get_layer(conv.name).weights}
            own |= {variable.name: variable for variable in network.get_layer(f"{conv.name}_bn").weights}
            for name, shared, part in self.conv(conv.name).slices(conv):
                yield own[name], shared, part
        kernel, bias = network.get_layer("logits").weights
        yield kernel, self.head_kernel, (slice(spec.features), slice(None))
        yield bias, self.head_bias, (slice(None),)

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Bring architecture and BatchNorm statistics back on leaving: evaluation without side effects."""
        before = [(variable, variable.numpy()) for variable in self.non_trainable_variables]
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)


def _rebuilt(space: ImageSearchSpace, info: DatasetInfo, seed: int, weights: list[np.ndarray]) -> Supernet:
    supernet = Supernet(space, info, seed=seed)
    supernet.build()
    supernet.set_weights(weights)
    return supernet


def _stride(full_resolution: Size, place: int) -> Size:
    """The stride of the stem, place 0, or of the first stage, place 1; see `ImageSearchSpace`."""
    if isinstance(full_resolution, int):
        return 2 if full_resolution == place else 1
    return tf.where(full_resolution == place, 2, 1)


class _Reader:
    """Reads decisions from an encoded architecture: a Python value where there is no choice."""

    def __init__(self, space: ImageSearchSpace, code: tf.Tensor) -> None:
        self._space = space
        self._code = code

    def index(self, name: str) -> tf.Tensor:
        """The index of the chosen option; 0 for an inactive decision."""
        return tf.maximum(self._code[self._space.names.index(name)], 0)

    def __call__(self, name: str) -> Size:
        """The chosen option of a decision about a size."""
        options = [int(option) for option in self._space[name].options]
        return options[0] if len(options) == 1 else tf.gather(tf.constant(options), self.index(name))
