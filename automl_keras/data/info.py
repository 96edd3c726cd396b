"""`DatasetInfo`: all that later stages need to know about the data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Label = str | int | float | bool


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set, in JSON-compatible values.

    Attributes:
        image_shape: `(height, width, channels)` of one image.
        input_dtype: Pixel type as the user gives it and the exported file takes it.
        pixel_mean: Mean of each channel over the training images, in the user's units.
        pixel_std: Standard deviation of each channel, at least a small positive number.
        pixel_range: `(smallest, largest)` pixel value seen in the training images.
        classes: The labels as the user gave them, sorted; class `i` of the network is `classes[i]`.
        num_train: Number of training images.
        num_validation: Number of validation images.
    """

    image_shape: tuple[int, int, int]
    input_dtype: Literal["uint8", "float32"]
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    pixel_range: tuple[float, float]
    classes: tuple[Label, ...]
    num_train: int
    num_validation: int

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "DatasetInfo":
        """Rebuild from `to_dict`, also after a trip through JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**values)
