"""A functional Keras model as a list of calls, read and rebuilt with changes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from automl_keras.errors import InvalidArgumentError

KERNEL_LAYERS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
)


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation such as `x + y`.

    Attributes:
        layer: What is called. A layer with weights may be called several times.
        args: Its positional arguments; the tensors among them are those of the graph.
        kwargs: Its keyword arguments.
        inputs: The tensors among the arguments, in order.
        outputs: The tensors it returns.
    """

    layer: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]


# Gets a call and its new arguments, returns its new outputs.
Make = Callable[[Call, tuple[Any, ...], dict[str, Any]], Any]


class Graph:
    """The calls of a network of one input and one output, in the order they run.

    It is read from a copy: the layers of the given model are left alone. Nested models are laid open.

    Args:
        model: Functional or Sequential, and so every model in it.

    Raises:
        InvalidArgumentError: If a model is of another kind, or two layers with kernels have the same name.
    """

    def __init__(self, model: keras.Model) -> None:
        check_kind(model)
        self.name = model.name
        self._calls: list[Call] = []
        self._names: set[str] = set()
        self._copies = Copies()
        self._nested: dict[int, Graph] = {}
        plain = keras.Model(model.inputs, model.outputs)
        clone = keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=self._repeat)
        self.input: keras.KerasTensor = clone.inputs[0]
        self.output: keras.KerasTensor = clone.outputs[0]
        self.calls = tuple(self._calls)

    def readers(self, tensor: keras.KerasTensor) -> list[Call]:
        """The calls that take a tensor."""
        return [call for call in self.calls if any(tensor is given for given in call.inputs)]

    def only_reader(self, tensor: keras.KerasTensor) -> Call | None:
        """The call that takes a tensor, if it is the only one and the tensor is not the network's output."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 and tensor is not self.output else None

    def rebuild(self, make: Make) -> keras.Model:
        """The network once more, where `make` says what stands in the place of each call."""
        given = keras.Input(batch_shape=self.input.shape, dtype=self.input.dtype, name=self.input.name)
        return keras.Model(given, self.replay(make, given), name=self.name)

    def replay(self, make: Make, given: keras.KerasTensor) -> keras.KerasTensor:
        """The output of `rebuild` for an input that may come from other layers."""
        made: dict[int, Any] = {id(self.input): given}

        def new(value: Any) -> Any:
            return made[id(value)] if isinstance(value, keras.KerasTensor) else value

        for call in self.calls:
            args, kwargs = keras.tree.map_structure(new, (call.args, call.kwargs))
            results = keras.tree.flatten(make(call, args, kwargs))
            made.update(zip(map(id, call.outputs), results, strict=True))
        return made[id(self.output)]

    def _repeat(self, layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        """Call a copy of a layer and note it down."""
        if isinstance(layer, keras.Model):
            if id(layer) not in self._nested:
                self._nested[id(layer)] = Graph(layer)
            nested = self._nested[id(layer)]
            return nested.replay(lambda call, args, kwargs: self._repeat(call.layer, *args, **kwargs), args[0])
        if (copy := self._copies.get(layer)) is None:
            copy = self._copies.add(layer, name=self._unique(layer))
        results = copy(*args, **kwargs)
        move_weights(layer, copy)
        inputs = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, keras.KerasTensor)]
        self._calls.append(Call(copy, args, kwargs, tuple(inputs), tuple(keras.tree.flatten(results))))
        return results

    def _unique(self, layer: keras.Operation) -> str:
        name, number = layer.name, 2
        if name in self._names and type(layer) in KERNEL_LAYERS:
            raise InvalidArgumentError(f"Layers with kernels must have different names. Received: {name!r} twice")
        while name in self._names:
            name, number = f"{layer.name}_call{number}", number + 1
        self._names.add(name)
        return name


class Copies:
    """Copies of layers; one for each layer with weights, however often it is called."""

    def __init__(self) -> None:
        self._made: dict[int, keras.layers.Layer] = {}

    def get(self, layer: keras.Operation) -> keras.Operation | None:
        """The copy of a layer, if it has weights and there is one."""
        return self._made.get(id(layer))

    def add(self, layer: keras.Operation, **settings: Any) -> keras.Operation:
        """A new copy, with other settings if some are given, without weights."""
        copy = type(layer).from_config({**seeded_config(layer), **settings})
        if has_weights(layer):
            self._made[id(layer)] = copy
        return copy

    def call(
        self,
        layer: keras.Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        weights: list[np.ndarray] | None = None,
        **settings: Any,
    ) -> Any:
        """Call the copy of a layer; if it is new, it gets `weights` or those of the layer."""
        copy = self.get(layer)
        if copy is not None:
            return copy(*args, **kwargs)
        copy = self.add(layer, **settings)
        results = copy(*args, **kwargs)
        if weights is None:
            move_weights(layer, copy)
        else:
            copy.set_weights(weights)
        return results


def without_softmax(model: keras.Model) -> keras.Model:
    """A network of logits: a copy without the softmax at its end, or the network itself if it has none.

    Args:
        model: As for `Graph`.

    Raises:
        InvalidArgumentError: As for `Graph`.
    """
    graph = Graph(model)
    last = next((call for call in graph.calls if call.outputs[0] is graph.output), None)
    if last is None or not _is_softmax(last.layer):
        return model
    copies = Copies()

    def make(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if call is not last:
            return copies.call(call.layer, args, kwargs)
        return copies.call(call.layer, args, kwargs, activation="linear") if has_weights(call.layer) else args[0]

    return graph.rebuild(make)


def _is_softmax(layer: keras.Operation) -> bool:
    return getattr(layer, "activation", None) is keras.activations.softmax or type(layer).__name__ == "Softmax"


def seeded_config(layer: keras.Operation) -> dict[str, Any]:
    """The configuration of a layer in which every seed is set: a copy would draw one from a global generator."""
    config = layer.get_config()
    seed = zlib.crc32(layer.name.encode())
    for part in (config, *(value.get("config") for value in config.values() if isinstance(value, dict))):
        if isinstance(part, dict) and "seed" in part and part["seed"] is None:
            part["seed"] = seed
    return config


def has_weights(layer: keras.Operation) -> bool:
    """Whether it is a layer with weights, and not an operation."""
    return isinstance(layer, keras.layers.Layer) and bool(layer.weights)


def move_weights(source: keras.Operation, target: keras.Operation) -> None:
    """Give a copy of a layer, once it has been called, the weights of that layer."""
    if has_weights(source):
        target.set_weights(source.get_weights())
        if isinstance(target, keras.layers.Normalization):  # it computes with values derived from its weights
            target.finalize_state()


def check_kind(model: keras.Model) -> None:
    """Refuse a model that is not functional or built Sequential, of one input and one output.

    Raises:
        InvalidArgumentError: If it is not.
    """
    inputs, outputs = (getattr(model, name, None) or [] for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise InvalidArgumentError(
            "`model` and the models in it must be functional or built Sequential models of one input and one output. "
            f"Received: model {model.name!r} with {len(inputs)} inputs and {len(outputs)} outputs"
        )
