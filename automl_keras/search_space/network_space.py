"""`NetworkSpace`: a search space whose architectures are networks for images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space.decision import Decision
from automl_keras.search_space.network import NetworkSpec
from automl_keras.search_space.space import SearchSpace

if TYPE_CHECKING:
    import keras_tuner

    from automl_keras.data import DatasetInfo


class NetworkSpace(SearchSpace, ABC):
    """Networks for images of one shape and one number of classes.

    A subclass says what layers an architecture has. From them come the Keras model (`build_network`), the
    costs (`automl_keras.evaluation.CostPredictor`) and, with a supernet of its own, weight sharing.

    Args:
        decisions: The decisions.
        image_shape: `(height, width, channels)`.
        num_classes: Number of outputs.

    Attributes:
        sizes: Names of the further arguments of a subclass, all numbers.
    """

    sizes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, decisions: Sequence[Decision], *, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(decisions)
        self.image_shape = image_shape
        self.num_classes = num_classes

    @abstractmethod
    def network_spec(self, architecture: Mapping[str, Any]) -> NetworkSpec:
        """The layers of an architecture, with all their sizes.

        Raises:
            InvalidArchitectureError: If the architecture is not of this space.
        """

    def hypermodel(self, info: DatasetInfo) -> keras_tuner.HyperModel:
        """A hypermodel of stand-alone networks, for any Keras-Tuner tuner."""
        from automl_keras.search_space.hypermodel import NetworkHyperModel

        return NetworkHyperModel(self, info)

    def _sizes(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.sizes}

    def _replace(self, decisions: Sequence[Decision]) -> Self:
        return type(self)(decisions, image_shape=self.image_shape, num_classes=self.num_classes, **self._sizes())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        shape = {"image_shape": list(self.image_shape), "num_classes": self.num_classes}
        return {**super().to_dict(), **shape, **self._sizes()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a space from `to_dict`."""
        height, width, channels = data["image_shape"]
        return cls(
            [Decision.from_dict(item) for item in data["decisions"]],
            image_shape=(height, width, channels),
            num_classes=data["num_classes"],
            **{name: data[name] for name in cls.sizes},
        )


def network_space_from_dict(data: dict[str, Any]) -> NetworkSpace:
    """Rebuild a space of networks of any kind from its `to_dict`; one without a "kind" is an image space.

    Raises:
        InvalidArgumentError: If the kind is unknown.
    """
    from automl_keras.search_space.image import ImageSearchSpace
    from automl_keras.search_space.macro import MacroSearchSpace

    kinds: dict[str, type[NetworkSpace]] = {"image": ImageSearchSpace, MacroSearchSpace.kind: MacroSearchSpace}
    kind = data.get("kind", "image")
    if kind not in kinds:
        raise InvalidArgumentError(f"`kind` must be one of {sorted(kinds)}. Received: kind={kind!r}")
    return kinds[kind].from_dict(data)
