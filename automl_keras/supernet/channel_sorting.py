"""Sorting shared channels by importance, so that a slice of the first ones holds the most important ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from automl_keras.search_space import Option
from automl_keras.supernet.image_supernet import ImageSupernet
from automl_keras.supernet.shared_conv import SharedConv


@dataclass
class SharedChannels:
    """The channels of one tensor of a supernet, in whichever subnets there are: one order for all of them.

    Attributes:
        sizes: The numbers of first channels that have been trained as slices.
        writers: The convolutions that make the tensor.
        readers: The kernels that read it, each with the axis of its input channels.
    """

    sizes: Collection[int]
    writers: list[SharedConv] = field(default_factory=list)
    readers: list[tuple[keras.Variable, int]] = field(default_factory=list)

    def order(self) -> np.ndarray:
        """The order of falling importance; no channel leaves the slices that it has been trained in.

        The importance is the L1 norm of the weights that read the channel (Cai et al., ICLR 2020, section 3.3),
        summed over all readers.
        """
        importance = np.sum([_l1_norms(kernel.numpy(), axis) for kernel, axis in self.readers], axis=0)
        # The authors' code keeps the groups apart by large offsets on the importance.
        group = np.searchsorted(sorted(self.sizes), np.arange(len(importance)), side="right")
        return np.lexsort((-importance, group))

    def permute(self, order: np.ndarray) -> None:
        """Bring the channels into an order, in all weights that write or read them."""
        for conv in self.writers:
            _take(conv.kernel, order, 2 if conv.spec.kind == "depthwise" else 3)
            for variable in (conv.gamma, conv.beta, conv.mean, conv.variance):
                _take(variable, order, 0)
        for kernel, axis in self.readers:
            _take(kernel, order, axis)


def sort_channels(supernet: ImageSupernet, trained: Mapping[str, Sequence[Option]]) -> None:
    """Sort all channels of a supernet by importance, before smaller widths or expansions are trained.

    In the paper only the middle of MBConv blocks shrinks. In the image space the width of stages does too, so the
    output of the stem and of every stage is sorted as well: each is one tensor for all operations and, by the
    residual additions, for all blocks of its stage. Every subnet whose widths and expansions have been trained
    computes what it did before.

    Args:
        supernet: Changed in place.
        trained: The options of decisions that have been trained so far; a decision that is not named: all of them.
    """
    for channels in shared_channels(supernet, trained):
        channels.permute(channels.order())


def shared_channels(supernet: ImageSupernet, trained: Mapping[str, Sequence[Option]]) -> Iterator[SharedChannels]:
    """Every tensor of a supernet whose channels can be sorted; arguments as in `sort_channels`."""
    space = supernet.space

    def sizes(stage: int, decision: str) -> list[int]:
        name = f"stage{stage}_{decision}"
        return [int(option) for option in trained.get(name, space[name].options)]

    # The output of the stem is as wide as that of the first stage, but another tensor.
    outputs = [SharedChannels(sizes(max(stage, 0), "width")) for stage in range(-1, space.num_stages)]
    outputs[0].writers.append(supernet.conv("stem"))
    outputs[-1].readers.append((supernet.head_kernel, 0))
    for (stage, operation, index), convs in supernet.block_specs.items():
        *first, last = (supernet.conv(conv.name) for conv in convs)
        inputs = outputs[stage if index == 0 else stage + 1]
        inputs.readers.append(((first or [last])[0].kernel, 2))
        outputs[stage + 1].writers.append(last)
        if operation == "residual":
            middle_sizes = set(sizes(stage, "width"))
        else:
            middle_sizes = {width * factor for width in inputs.sizes for factor in sizes(stage, "expansion")}
        if first:
            yield SharedChannels(middle_sizes, writers=first, readers=[(last.kernel, 2)])
    yield from outputs


def _l1_norms(kernel: np.ndarray, axis: int) -> np.ndarray:
    return np.abs(kernel).sum(axis=tuple(other for other in range(kernel.ndim) if other != axis))


def _take(variable: keras.Variable, order: np.ndarray, axis: int) -> None:
    variable.assign(np.take(variable.numpy(), order, axis=axis))
