"""The surrogates of PNAS: ensembles of small networks that predict the score of an architecture."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from automl_keras.search_space import SearchSpace

Arrays = dict[str, np.ndarray]

NUM_MEMBERS = 5
LEARNING_RATE = 0.01
NUM_STEPS = 100
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7  # Adam's
EMBEDDING_BOUND = 0.5
ROWS_AT_ONCE = 4_096  # in a prediction, to bound the memory


class SurrogateEnsemble(ABC):
    """Five small networks, each fitted on four fifths of the data (Liu et al., ECCV 2018, section 3.4).

    They read architectures as `SearchSpace.encode` writes them, one token for every active decision,
    and are trained all at once: 100 steps of Adam on the L1 loss. The learning rate falls from 0.01 to 0 as a cosine.

    The embedding of a token is a sum. One part belongs to the option of that decision alone, the other is shared by
    all decisions of a kind: those whose names differ in numbers only, such as `block0_operation1` and
    `block2_operation2`. So a block never seen before is judged by what is known of others, for
    which the paper has one table for all inputs and one for all operations; and positions can differ, which
    matters where the decisions are the same in every architecture.

    Other differences from the paper: targets can be any numbers in (0, 1), so the last bias starts at 0 and not at
    1.8; embeddings start larger, in U(-0.5, 0.5), because their mean has to move a network of few steps; and there is
    one learning rate for all fits, as each starts anew (the paper has 0.01 for the first, then 0.002).

    Args:
        space: The search space.
        embedding_size: Length of an embedding. The paper has 100.
        hidden_size: Number of hidden units, `None` for `default_hidden_size`. The paper has 100.

    Attributes:
        batch_size: Data of one step; all members see the same.
        default_hidden_size: How many hidden units suit 50 to 300 evaluations.
        parameters: What `fit` learnt, of shape `(5, parameters of a member)`.
    """

    batch_size: ClassVar[int]
    default_hidden_size: ClassVar[int]

    def __init__(self, space: SearchSpace, embedding_size: int, hidden_size: int | None = None) -> None:
        self.embedding_size = embedding_size
        self.hidden_size = self.default_hidden_size if hidden_size is None else hidden_size
        kinds = [re.sub(r"\d+", "", decision.name) for decision in space.decisions]
        tokens = [(kind, o) for kind, d in zip(kinds, space.decisions, strict=True) for o in d.options]
        shared = list(dict.fromkeys(tokens))
        # The first token of every decision, the shared part of every token, and the tokens of every kind.
        self.offsets = np.cumsum([0, *(len(d.options) for d in space.decisions)])
        self.shared = np.array([shared.index(token) for token in tokens], dtype=np.int64)
        self._tokens_sharing = (np.arange(len(shared))[:, None] == self.shared).astype(np.float32)
        self.kinds = [np.array([t[0] == kind for t in tokens]).nonzero()[0] for kind in dict.fromkeys(kinds)]
        self.shapes = {
            "shared": (len(shared), embedding_size),
            "own": (len(tokens), embedding_size),
            **self.network_shapes(),
        }
        self.parameters = np.zeros((NUM_MEMBERS, sum(map(_length, self.shapes.values()))), dtype=np.float32)

    @abstractmethod
    def network_shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters of a member beside the embeddings, "output" and "output_bias" among them."""

    @abstractmethod
    def initialize(self, arrays: Arrays, rng: np.random.Generator) -> None:
        """Draw the parameters of `network_shapes`; they are 0 before."""

    @abstractmethod
    def read(self, rows: np.ndarray) -> np.ndarray:
        """What the networks compute with, one row for each architecture."""

    @abstractmethod
    def hidden(self, arrays: Arrays, embeddings: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, Any]:
        """The hidden units, of shape `(members, architectures, units)`, and what `backward` needs of the way there."""

    @abstractmethod
    def backward(
        self, arrays: Arrays, embeddings: np.ndarray, inputs: np.ndarray, way: Any, units: np.ndarray, gradients: Arrays
    ) -> None:
        """Write the gradients of the embeddings, as "own", and of the network.

        Args:
            arrays: The parameters.
            embeddings: Of all tokens, shape `(members, tokens, embedding size)`.
            inputs: From `read`.
            way: From `hidden`.
            units: The gradient of the hidden units.
            gradients: To be filled.
        """

    def fit(self, rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> Self:
        """Learn from scratch.

        Args:
            rows: Shape `(architectures, decisions)`.
            targets: In (0, 1), shape `(architectures,)`.
            rng: Draws the initial parameters and what each member leaves out.
        """
        fold = rng.permutation(len(targets)) % NUM_MEMBERS
        weights = (fold != np.arange(NUM_MEMBERS)[:, None]).astype(np.float32)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
        self._draw(rng)
        inputs, targets = self.read(rows), targets.astype(np.float32)
        first, second = np.zeros_like(self.parameters), np.zeros_like(self.parameters)
        for step in range(NUM_STEPS):
            batch = rng.permutation(len(targets))[: self.batch_size]
            share = weights[:, batch] * np.float32(len(targets) / len(batch))
            gradient = self.gradient(inputs[batch], targets[batch], share)
            first += (1.0 - BETA1) * (gradient - first)
            second += (1.0 - BETA2) * (gradient * gradient - second)
            rate = LEARNING_RATE * 0.5 * (1.0 + np.cos(np.pi * step / NUM_STEPS)) / (1.0 - BETA1 ** (step + 1))
            scale = np.sqrt(second / (1.0 - BETA2 ** (step + 1)))
            self.parameters -= np.float32(rate) * first / (scale + EPSILON)
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """What every member predicts, in (0, 1), of shape `(members, architectures)`."""
        arrays = self._views(self.parameters)
        parts = [rows[start : start + ROWS_AT_ONCE] for start in range(0, max(len(rows), 1), ROWS_AT_ONCE)]
        return np.concatenate([self._forward(arrays, self.read(part))[0] for part in parts], axis=1)

    def gradient(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The gradient of every member's loss, the weighted sum of absolute errors; the shape of `parameters`."""
        arrays = self._views(self.parameters)
        predicted, embeddings, units, way = self._forward(arrays, inputs)
        logits = np.sign(predicted - targets) * predicted * (1.0 - predicted) * weights
        gradient = np.zeros_like(self.parameters)
        gradients = self._views(gradient)
        gradients["output_bias"][:] = logits.sum(axis=1, keepdims=True)
        gradients["output"][:] = (logits[:, None] @ units)[:, 0]
        self.backward(arrays, embeddings, inputs, way, logits[..., None] * arrays["output"][:, None], gradients)
        gradients["shared"][:] = self._tokens_sharing @ gradients["own"]
        return gradient

    def _forward(self, arrays: Arrays, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        embeddings = arrays["own"] + arrays["shared"][:, self.shared]
        units, way = self.hidden(arrays, embeddings, inputs)
        logits = (units @ arrays["output"][..., None])[..., 0] + arrays["output_bias"]
        return _sigmoid(logits), embeddings, units, way

    def _draw(self, rng: np.random.Generator) -> None:
        self.parameters = np.zeros_like(self.parameters)
        arrays = self._views(self.parameters)
        for name in ("shared", "own"):
            arrays[name][:] = rng.uniform(-EMBEDDING_BOUND, EMBEDDING_BOUND, arrays[name].shape)
        arrays["output"][:] = rng.standard_normal(arrays["output"].shape) / np.sqrt(self.hidden_size)
        self.initialize(arrays, rng)

    def _views(self, parameters: np.ndarray) -> Arrays:
        ends = np.cumsum([_length(shape) for shape in self.shapes.values()])
        parts = np.split(parameters, ends[:-1], axis=1)
        return {n: p.reshape(NUM_MEMBERS, *s) for (n, s), p in zip(self.shapes.items(), parts, strict=True)}


class MLPEnsemble(SurrogateEnsemble):
    """One hidden layer of rectified linear units on the mean embeddings of each kind of decision, side by side.

    The paper takes the mean over blocks of their four embeddings side by side. Here the two inputs of a
    block are of one kind, as are its two operations: the halves of a block have no order.
    """

    batch_size = 1_000
    default_hidden_size = 64

    def network_shapes(self) -> dict[str, tuple[int, ...]]:
        """One matrix for every kind, then the output."""
        size = self.hidden_size
        matrices = (len(self.kinds), self.embedding_size, size)
        return {"hidden": matrices, "hidden_bias": (size,), "output": (size,), "output_bias": (1,)}

    def initialize(self, arrays: Arrays, rng: np.random.Generator) -> None:
        """He's initialisation."""
        scale = np.sqrt(2.0 / max(len(self.kinds) * self.embedding_size, 1))
        arrays["hidden"][:] = scale * rng.standard_normal(arrays["hidden"].shape)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The weight of every token in the mean of its kind, of shape `(architectures, tokens)`."""
        inputs = np.zeros((len(rows), self.offsets[-1]), dtype=np.float32)
        architecture, column = np.nonzero(rows >= 0)
        inputs[architecture, self.offsets[column] + rows[architecture, column]] = 1.0
        for tokens in self.kinds:
            inputs[:, tokens] /= np.maximum(inputs[:, tokens].sum(axis=1, keepdims=True), 1.0)
        return inputs

    def hidden(self, arrays: Arrays, embeddings: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, Any]:
        """All tokens go through the layer first: there are fewer of them than of architectures."""
        layer = np.empty((NUM_MEMBERS, self.offsets[-1], self.hidden_size), dtype=embeddings.dtype)
        for kind, tokens in enumerate(self.kinds):
            layer[:, tokens] = embeddings[:, tokens] @ arrays["hidden"][:, kind]
        units = np.maximum(inputs @ layer + arrays["hidden_bias"][:, None], 0.0)
        return units, units > 0.0

    def backward(
        self, arrays: Arrays, embeddings: np.ndarray, inputs: np.ndarray, way: Any, units: np.ndarray, gradients: Arrays
    ) -> None:
        """Back through the layer to the tokens."""
        units = units * way
        gradients["hidden_bias"][:] = units.sum(axis=1)
        layer = inputs.T @ units
        for kind, tokens in enumerate(self.kinds):
            gradients["hidden"][:, kind] = embeddings[:, tokens].swapaxes(1, 2) @ layer[:, tokens]
            gradients["own"][:, tokens] = layer[:, tokens] @ arrays["hidden"][:, kind].swapaxes(1, 2)


class LSTMEnsemble(SurrogateEnsemble):
    """An LSTM that reads the active decisions in the order of the space; its last state predicts.

    Its steps are longer than those of `MLPEnsemble`, so they are on fewer data.
    """

    batch_size = 32
    default_hidden_size = 32

    def network_shapes(self) -> dict[str, tuple[int, ...]]:
        """Gates side by side: input, forget, output, candidate."""
        size, gates = self.hidden_size, 4 * self.hidden_size
        shapes = {"input": (self.embedding_size, gates), "recurrent": (size, gates), "gate_bias": (gates,)}
        return {**shapes, "output": (size,), "output_bias": (1,)}

    def initialize(self, arrays: Arrays, rng: np.random.Generator) -> None:
        """Uniform, as wide as the hidden size allows; the forget gates start open."""
        bound = 1.0 / np.sqrt(self.hidden_size)
        for name in ("input", "recurrent"):
            arrays[name][:] = rng.uniform(-bound, bound, arrays[name].shape)
        arrays["gate_bias"][:, self.hidden_size : 2 * self.hidden_size] = 1.0

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The token of every decision, -1 where it is inactive."""
        return np.where(rows >= 0, self.offsets[:-1] + rows, -1)

    def hidden(self, arrays: Arrays, embeddings: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, Any]:
        """The states after the last decision. Inactive ones leave the states as they are."""
        size = self.hidden_size
        driven = embeddings @ arrays["input"] + arrays["gate_bias"][:, None]
        state = cell = np.zeros((NUM_MEMBERS, len(inputs), size), dtype=embeddings.dtype)
        way = []
        for tokens in inputs.T:
            active = (tokens >= 0)[:, None]
            gates = driven[:, tokens] + state @ arrays["recurrent"]
            gates[..., : 3 * size] = _sigmoid(gates[..., : 3 * size])
            gates[..., 3 * size :] = np.tanh(gates[..., 3 * size :])
            take, keep, show, candidate = np.split(gates, 4, axis=2)
            next_cell = np.where(active, take * candidate + keep * cell, cell)
            squashed = np.tanh(next_cell)
            way.append((state, cell, gates, squashed))
            state, cell = np.where(active, show * squashed, state), next_cell
        return state, way

    def backward(
        self, arrays: Arrays, embeddings: np.ndarray, inputs: np.ndarray, way: Any, units: np.ndarray, gradients: Arrays
    ) -> None:
        """Back through time."""
        driven = np.zeros((NUM_MEMBERS, self.offsets[-1], 4 * self.hidden_size), dtype=embeddings.dtype)
        cells = np.zeros_like(units)
        for column in reversed(range(inputs.shape[1])):
            state, cell, gates, squashed = way[column]
            take, keep, show, candidate = np.split(gates, 4, axis=2)
            active = (inputs[:, column] >= 0)[:, None]
            inner = cells + units * show * (1.0 - squashed * squashed)
            steps = [
                inner * candidate * take * (1.0 - take),
                inner * cell * keep * (1.0 - keep),
                units * squashed * show * (1.0 - show),
                inner * take * (1.0 - candidate * candidate),
            ]
            step = np.where(active, np.concatenate(steps, axis=2), 0.0)
            start, end = self.offsets[column], self.offsets[column + 1]
            chosen = (inputs[:, column, None] == np.arange(start, end)).astype(step.dtype)
            driven[:, start:end] = chosen.T @ step
            gradients["recurrent"] += state.swapaxes(1, 2) @ step
            units = np.where(active, 0.0, units) + step @ arrays["recurrent"].swapaxes(1, 2)
            cells = np.where(active, inner * keep, cells)
        gradients["gate_bias"][:] = driven.sum(axis=1)
        gradients["input"][:] = embeddings.swapaxes(1, 2) @ driven
        gradients["own"][:] = driven @ arrays["input"].swapaxes(1, 2)


PREDICTORS: dict[str, type[SurrogateEnsemble]] = {"mlp": MLPEnsemble, "lstm": LSTMEnsemble}


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Without the overflow of `exp`."""
    return 0.5 + 0.5 * np.tanh(0.5 * values)


def _length(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))
