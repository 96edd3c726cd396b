"""The image search space: stages of residual, fused MBConv or MBConv blocks, scaled to the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space.architecture import Architecture
from automl_keras.search_space.decision import Decision
from automl_keras.search_space.network import BlockSpec, ConvSpec, StagedNetworkSpec, block_convs
from automl_keras.search_space.network_space import NetworkSpace

OPERATIONS = ("residual", "fused_mbconv", "mbconv")
KERNELS = (3, 5)
EXPANSIONS = (2, 4)
DEPTHS = (1, 2, 3)
# Wide early and narrow late spends bytes best on small grey images; colour data want late width.
WIDTHS = (
    (8, 16, 24, 32),
    (8, 16, 24, 32, 40, 48, 64),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 128),
    (16, 32, 48, 64, 96, 128, 192),
    (32, 64, 96, 128, 192, 256),
)
DEFAULT_WIDTHS = (24, 32, 48, 64, 96)
FULL_RESOLUTIONS = (0, 1, 2)
SMALL_SIDE = 16  # images up to this side always keep their resolution in the stem and the first stage


class ImageSearchSpace(NetworkSpace):
    """Networks of a stem, a few stages, global average pooling and one dense layer.

    `full_resolution` says how many of the stem and the first stage work at the resolution of the image:
    0, 1 (the stem) or 2 (both). What comes next halves it, and so does every later stage.

    Stage `i` has the decisions `stage{i}_operation` ("residual", "fused_mbconv" or
    "mbconv"), `stage{i}_kernel` (3 or 5), `stage{i}_expansion` (both MBConv kinds only),
    `stage{i}_depth` (number of blocks) and `stage{i}_width` (channels); where bits are searched too, also
    `stage{i}_bits` (of all kernels that are not depthwise). The stem is a 3x3 convolution as wide as the first stage.
    The first block of a stage changes width and resolution; the others keep both and have a skip connection.

    Args:
        decisions: The decisions, named as above. `image_space` makes the full set.
        image_shape: `(height, width, channels)`.
        num_classes: Number of outputs.
        num_stages: Number of stages.
    """

    sizes = ("num_stages",)

    def __init__(
        self,
        decisions: Sequence[Decision],
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        num_stages: int,
    ) -> None:
        super().__init__(decisions, image_shape=image_shape, num_classes=num_classes)
        self.num_stages = num_stages

    def network_spec(self, architecture: Mapping[str, Any]) -> StagedNetworkSpec:
        """See `NetworkSpace`."""
        chosen = self.canonical(architecture)
        channels = int(chosen["stage0_width"])
        full = int(chosen["full_resolution"])
        stem = ConvSpec("stem", "conv", 3, 2 if full == 0 else 1, self.image_shape[2], channels, activation=True)
        blocks = []
        for stage in range(self.num_stages):
            operation = str(chosen[f"stage{stage}_operation"])
            width = int(chosen[f"stage{stage}_width"])
            stride = 2 if stage > 0 or full == 1 else 1
            for index in range(int(chosen[f"stage{stage}_depth"])):
                convs = block_convs(
                    f"s{stage}b{index}",
                    operation,
                    kernel=int(chosen[f"stage{stage}_kernel"]),
                    expansion=int(chosen.get(f"stage{stage}_expansion", 1)),
                    stride=stride if index == 0 else 1,
                    in_channels=channels,
                    out_channels=width,
                    first=index == 0,
                )
                bits = int(chosen.get(f"stage{stage}_bits", 8))
                convs = tuple(replace(conv, bits=bits) if conv.kind == "conv" else conv for conv in convs)
                blocks.append(BlockSpec(stage, index, operation, convs, residual=index > 0))
                channels = width
        return StagedNetworkSpec(self.image_shape, self.num_classes, stem, tuple(blocks))

    def extreme(self, *, largest: bool, operation: str | None = None) -> Architecture:
        """The largest or smallest sizes of every stage.

        Args:
            largest: Largest if true, smallest otherwise.
            operation: Used in every stage that offers it; the stage's default otherwise.
        """
        values: dict[str, Any] = {}
        pick = max if largest else min
        for decision in self.decisions:
            if decision.name.endswith("_operation"):
                values[decision.name] = operation if operation in decision.options else decision.default
            else:
                values[decision.name] = pick(decision.options)
        return self.canonical(values)


def image_space(
    image_shape: tuple[int, int, int], num_classes: int, *, weight_bits: Sequence[int] = ()
) -> ImageSearchSpace:
    """The image search space scaled to the data.

    Three stages up to 48 pixels a side, four up to 128, five above. By default the stem halves the
    resolution of images above 16 pixels a side. At 28x28 it has 24,948,000 architectures.

    ```python
    space = image_space((32, 32, 3), num_classes=10)
    narrow = space.restrict({f"stage{stage}_operation": ("residual",) for stage in range(3)})
    assert 1 < narrow.size < space.size
    spec = space.network_spec(narrow.default())  # the layers of one network
    ```

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: Number of outputs: classes, labels or values.
        weight_bits: Bits to choose from for the kernels of each stage; by default they are no part of the space.

    Raises:
        InvalidArgumentError: If the shape has a size below 1 or there is no output.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise InvalidArgumentError(f"`image_shape` must be three positive sizes. Received: image_shape={image_shape}")
    if num_classes < 1:
        raise InvalidArgumentError(f"`num_classes` must be at least 1. Received: num_classes={num_classes}")
    side = max(image_shape[:2])
    num_stages = 3 if side <= 48 else 4 if side <= 128 else 5
    decisions = [Decision("full_resolution", FULL_RESOLUTIONS[-1:] if side <= SMALL_SIDE else FULL_RESOLUTIONS)]
    for stage in range(num_stages):
        name = f"stage{stage}"
        decisions += [
            Decision(f"{name}_operation", OPERATIONS),
            Decision(f"{name}_kernel", KERNELS),
            Decision(f"{name}_expansion", EXPANSIONS, parent=(f"{name}_operation", OPERATIONS[1:])),
            # Full-resolution blocks cost most of the time and few of the bytes: one in the first stage.
            Decision(f"{name}_depth", DEPTHS, default=1 if stage == 0 else 2),
            Decision(f"{name}_width", WIDTHS[stage], default=DEFAULT_WIDTHS[stage]),
        ]
        if weight_bits:
            decisions.append(Decision(f"{name}_bits", tuple(sorted(weight_bits)), default=max(weight_bits)))
    return ImageSearchSpace(decisions, image_shape=image_shape, num_classes=num_classes, num_stages=num_stages)
