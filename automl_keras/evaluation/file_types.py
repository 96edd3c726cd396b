"""The types of numbers in a file, by the names that users give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantization = Literal["int8", "mixed", "joint", "float16", "float32"]


@dataclass(frozen=True)
class FileType:
    """What the numbers of a file look like, and its bytes beyond those of an int8 file.

    Attributes:
        weight_bits: Of kernels of convolutions and of the dense layer; `None` where each convolution has its own.
        depthwise_bits: Of depthwise kernels, and of the dense layer where convolutions have their own.
        activation_bits: Of everything that is computed.
        file_bytes: Once.
        conv_bytes: For each convolution.
        channel_bytes: For each output channel of a convolution or dense layer: float files have no scales.
    """

    weight_bits: int | None
    depthwise_bits: int
    activation_bits: int
    file_bytes: int = 0
    conv_bytes: int = 0
    channel_bytes: float = 0.0

    @property
    def is_float(self) -> bool:
        """Whether it computes in float32."""
        return self.activation_bits == 32


# The bytes of float files are fitted to 20 architectures, most of them random. Kernels in mixed precision have 4 or 8
# bits each; a search begins with networks that need 5 on average, and bits are then chosen for the file to keep its
# budget.
FILE_TYPES: dict[Quantization, FileType] = {
    "int8": FileType(8, 8, 8),
    "mixed": FileType(5, 8, 8),
    "joint": FileType(None, 8, 8),
    "float16": FileType(16, 16, 32, -1357, 29, -10.45),
    "float32": FileType(32, 32, 32, -1400, -26, -10.42),
}
