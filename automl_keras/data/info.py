"""`DatasetInfo`: all that later stages need to know about the data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from automl_keras.data.multi_label import MultiLabel
from automl_keras.data.regression import Regression
from automl_keras.data.task import CLASSIFICATION, Classification, Label, Task
from automl_keras.errors import InvalidArgumentError


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
            Several labels for an image: the columns of `y`. Values: empty.
        num_train: Number of training images.
        num_validation: Number of validation images.
        task: What is learnt from the targets.
    """

    image_shape: tuple[int, int, int]
    input_dtype: Literal["uint8", "float32"]
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    pixel_range: tuple[float, float]
    classes: tuple[Label, ...]
    num_train: int
    num_validation: int
    task: Task = CLASSIFICATION

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """Number of outputs of a network: classes, labels or values."""
        return len(self.task.mean) if isinstance(self.task, Regression) else self.num_classes

    @property
    def described(self) -> str:
        """What is known of each image, to follow the word "images"."""
        count = self.num_outputs
        if isinstance(self.task, Regression):
            return "with a value each" if count == 1 else f"with {count} values each"
        return f"with any of {count} labels" if isinstance(self.task, MultiLabel) else f"of {count} classes"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return {**asdict(self), "task": self.task.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "DatasetInfo":
        """Rebuild from `to_dict`, also after a trip through JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        task = task_from_dict(values.pop("task", CLASSIFICATION.to_dict()))
        return cls(**values, task=task)


def task_from_dict(data: dict[str, Any]) -> Task:
    """Rebuild a task from its `to_dict`, also after a trip through JSON.

    Raises:
        InvalidArgumentError: If the kind is unknown.
    """
    kinds: dict[str, type[Task]] = {task.kind: task for task in (Classification, MultiLabel, Regression)}
    if data["kind"] not in kinds:
        raise InvalidArgumentError(f"`kind` must be one of {sorted(kinds)}. Received: kind={data['kind']!r}")
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    del fields["kind"]
    return kinds[data["kind"]](**fields)
