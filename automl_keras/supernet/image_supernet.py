"""The supernet of the image space: operations as branches, sizes as slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data.info import DatasetInfo
from automl_keras.search_space import ConvSpec, ImageSearchSpace
from automl_keras.supernet.shared_conv import Mode, SharedConv, Size
from automl_keras.supernet.supernet import DecisionReader, Supernet

GroupKey = tuple[int, str, int] | tuple[int, str, int, int]


class ImageSupernet(Supernet):
    """Every architecture of an `ImageSearchSpace`.

    Operations are chosen by `tf.switch_case`, depth by `tf.cond`, and kernel and widths by slices whose sizes
    are read from the architecture. Sizes are shared as slices within an operation; different operations have
    weights of their own.

    Args:
        space: The image space.
        info: Pixel statistics for the normalisation.
        seed: Seeds the initial weights.
        kernel_transform: Whether smaller kernels are transformed centres of the larger ones, as in `SharedConv`;
            plain centres otherwise.
    """

    space: ImageSearchSpace

    def __init__(
        self, space: ImageSearchSpace, info: DatasetInfo, *, seed: int = 0, kernel_transform: bool = False
    ) -> None:
        super().__init__(space, info, seed=seed)
        self.kernel_transform = kernel_transform

    def settings(self) -> dict[str, Any]:
        """See `Supernet`."""
        return {**super().settings(), "kernel_transform": self.kernel_transform}

    def make_weights(self) -> None:
        """See `Supernet`."""
        self.stem_spec, self.block_specs = self._largest_convs()
        specs: list[tuple[ConvSpec, list[int]]] = [(self.stem_spec, [])]
        specs += [(conv, self._transformed(conv, key[0])) for key, convs in self.block_specs.items() for conv in convs]
        for index, (spec, transformed) in enumerate(specs):
            setattr(self, spec.name, SharedConv(spec, seed=self.seed * 1000 + index, transformed=transformed))
            self.conv(spec.name).build()
        features = max(int(width) for width in self.space[f"stage{self.space.num_stages - 1}_width"].options)
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        self.head_kernel = self.add_weight(
            shape=(features, self.space.num_classes), initializer=initializer, name="head_kernel"
        )
        self.head_bias = self.add_weight(shape=(self.space.num_classes,), initializer="zeros", name="head_bias")

    def _largest_convs(self) -> tuple[ConvSpec, dict[tuple[int, str, int], tuple[ConvSpec, ...]]]:
        blocks = {}
        operations = {str(o) for d in self.space.decisions if d.name.endswith("_operation") for o in d.options}
        for operation in sorted(operations):
            network = self.space.network_spec(self.space.extreme(largest=True, operation=operation))
            for block in network.blocks:
                blocks[block.stage, block.operation, block.index] = block.convs
        return network.stem, blocks

    def _transformed(self, conv: ConvSpec, stage: int) -> list[int]:
        """The sides of a kernel that get a matrix of the kernel transformation."""
        if not self.kernel_transform or conv.kernel == 1:
            return []
        return [int(side) for side in self.space[f"stage{stage}_kernel"].options if int(side) < conv.kernel]

    def conv(self, name: str) -> SharedConv:
        """The shared convolution of a name."""
        return getattr(self, name)

    def groups(self) -> dict[GroupKey, list[keras.Variable]]:  # type: ignore[override]
        """The trainable variables of each (stage, operation, block); stem and head are in none.

        Matrices of the kernel transformation are in groups of their own, (stage, operation, block, side).
        """
        groups: dict[GroupKey, list[keras.Variable]] = {}
        for key, convs in self.block_specs.items():
            layers = [self.conv(conv.name) for conv in convs]
            groups[key] = [variable for layer in layers for variable in (layer.kernel, layer.gamma, layer.beta)]
            for layer in layers:
                for side, matrix in layer.transforms.items():
                    groups.setdefault((*key, side), []).append(matrix)
        return groups

    def taken(self, codes: np.ndarray) -> np.ndarray:
        """See `Supernet`."""

        def chosen(name: str) -> np.ndarray:
            return np.array(self.space[name].options)[codes[..., self.space.names.index(name)]]

        columns = []
        for stage, operation, index, *side in self.groups():
            is_run = (chosen(f"stage{stage}_operation") == operation) & (chosen(f"stage{stage}_depth") > index)
            # A matrix makes the kernel of its side, and every smaller kernel is made from that one.
            columns.append(is_run & (chosen(f"stage{stage}_kernel") <= side[0]) if side else is_run)
        return np.stack(columns, axis=-1)

    @tf.autograph.experimental.do_not_convert  # nothing here is for AutoGraph, and it slows tracing
    def forward(self, images: tf.Tensor, code: tf.Tensor, mode: Mode, rate: tf.Tensor | float = 1.0) -> tf.Tensor:
        """See `Supernet`."""
        read = DecisionReader(self.space, code)
        x = self.normalized(images)
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
        self, x: tf.Tensor, stage: int, channels: Size, stride: Size, read: DecisionReader, settings: dict[str, Any]
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
        read: DecisionReader,
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

    def shared(
        self, network: keras.Model, architecture: Mapping[str, Any]
    ) -> Iterator[tuple[keras.Variable, tf.Tensor]]:
        """See `Supernet`."""
        spec = self.space.network_spec(architecture)
        for conv, _ in spec.convs():
            own = {variable.name: variable for variable in network.get_layer(conv.name).weights}
            own |= {variable.name: variable for variable in network.get_layer(f"{conv.name}_bn").weights}
            for name, value in self.conv(conv.name).values(conv):
                yield own[name], value
        kernel, bias = network.get_layer("logits").weights
        yield kernel, self.head_kernel.value[: spec.features]
        yield bias, self.head_bias.value


def _stride(full_resolution: Size, place: int) -> Size:
    """The stride of the stem, place 0, or of the first stage, place 1; see `ImageSearchSpace`."""
    if isinstance(full_resolution, int):
        return 2 if full_resolution == place else 1
    return tf.where(full_resolution == place, 2, 1)
