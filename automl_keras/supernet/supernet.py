"""`Supernet`: one network that holds the weights of every architecture of a space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data.info import DatasetInfo
from automl_keras.search_space import NetworkSpace, build_network
from automl_keras.supernet.shared_conv import Mode


class Supernet(keras.Model):
    """Every architecture of a space as a path through shared weights.

    The present architecture is the non-trainable int32 variable `architecture_code`; a subclass reads all
    choices from it in the graph. So one traced graph serves all architectures, and untaken branches are not run.
    `make_supernet` makes the one for a space.

    Args:
        space: The networks.
        info: Pixel statistics for the normalisation.
        seed: Seeds the initial weights.
    """

    def __init__(self, space: NetworkSpace, info: DatasetInfo, *, seed: int = 0) -> None:
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
        self.make_weights()
        self.built = True

    @abstractmethod
    def make_weights(self) -> None:
        """Make the shared weights; called once, by `build`."""

    @abstractmethod
    def groups(self) -> dict[Hashable, list[keras.Variable]]:
        """The trainable variables that only some paths run, by what runs them; the others are in none."""

    @abstractmethod
    def taken(self, codes: np.ndarray) -> np.ndarray:
        """Which groups are run.

        Args:
            codes: Encoded architectures, of shape (..., decisions).

        Returns:
            Booleans of shape (..., groups), in the order of `groups`.
        """

    @abstractmethod
    def forward(self, images: tf.Tensor, code: tf.Tensor, mode: Mode, rate: tf.Tensor | float = 1.0) -> tf.Tensor:
        """Logits of the architecture `code` (int32, as `SearchSpace.encode` gives it).

        Args:
            images: (batch, height, width, channels), raw pixels.
            code: Option indices.
            mode: As in `SharedConv.convolve`.
            rate: As in `SharedConv.convolve`.
        """

    @abstractmethod
    def shared(
        self, network: keras.Model, architecture: Mapping[str, Any]
    ) -> Iterator[tuple[keras.Variable, tf.Tensor]]:
        """Every weight of a stand-alone network, with the value that the supernet uses in its place."""

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that make another one like it."""
        return {"seed": self.seed}

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

    def subnet(self, architecture: Mapping[str, Any]) -> keras.Model:
        """An ordinary Keras model that computes what the supernet computes with this architecture.

        Its weights are copies of the shared ones; its BatchNorm statistics are the stored ones, so
        they fit only if the supernet has been calibrated for this architecture.
        """
        network = build_network(self.space.network_spec(architecture), self.info, seed=self.seed)
        for target, value in self.shared(network, architecture):
            target.assign(value)
        return network

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Bring architecture and BatchNorm statistics back on leaving: evaluation without side effects."""
        before = [(variable, variable.numpy()) for variable in self.non_trainable_variables]
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)

    def normalized(self, images: tf.Tensor) -> tf.Tensor:
        """Raw pixels with mean 0 and standard deviation 1 over the training images."""
        mean, std = (tf.constant(v, tf.float32) for v in (self.info.pixel_mean, self.info.pixel_std))
        return (tf.cast(images, tf.float32) - mean) / std

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments and weights: Keras would need a registered class with a config."""
        weights = [weight.value.numpy() for weight in self.weights]
        return _rebuilt, (type(self), self.space, self.info, self.settings(), weights)


def _rebuilt(
    kind: type[Supernet],
    space: NetworkSpace,
    info: DatasetInfo,
    settings: Mapping[str, Any],
    weights: list[np.ndarray],
) -> Supernet:
    supernet = kind(space, info, **settings)
    supernet.build()
    supernet.set_weights(weights)
    return supernet


class DecisionReader:
    """Reads decisions from an encoded architecture: a Python value where there is no choice.

    Args:
        space: Of the architecture.
        code: Option indices, int32.
    """

    def __init__(self, space: NetworkSpace, code: tf.Tensor) -> None:
        self._space = space
        self._code = code

    def index(self, name: str) -> tf.Tensor:
        """The index of the chosen option; 0 for an inactive decision."""
        return tf.maximum(self._code[self._space.names.index(name)], 0)

    def __call__(self, name: str) -> int | tf.Tensor:
        """The chosen option of a decision about a size."""
        options = [int(option) for option in self._space[name].options]
        return options[0] if len(options) == 1 else tf.gather(tf.constant(options), self.index(name))
