"""The steps of a `Controller`: what each one decides, and its layers with their gradients."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Decision, SearchSpace

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Step:
    """What is read from one state of the LSTM: a choice, an input, or the skip connections into a layer.

    Attributes:
        decisions: One, or those of all skip connections.
        columns: Their places in the space.
        parents: For each, the column of its parent and the option indices for which it is active.
        anchors: The steps whose states are attended to, `None` for the network's own input; empty
            for a choice.
        is_skip: Whether they are skip connections.
        sees_outcome: Whether one more step of the LSTM sees the outcome, because its state is an anchor.
        signs: Of the logits: for skip connections of shape `(decisions, 2)`, 1 for "yes" and -1 for "no".
    """

    decisions: tuple[Decision, ...]
    columns: list[int]
    parents: list[tuple[int, list[int]] | None]
    anchors: list[int | None]
    is_skip: bool
    sees_outcome: bool
    signs: np.ndarray

    def active(self, codes: np.ndarray) -> np.ndarray:
        """Which decisions are active given the option indices of earlier ones, of shape `(n, decisions)`."""
        active = np.ones((len(codes), len(self.columns)), dtype=bool)
        for place, parent in enumerate(self.parents):
            if parent is not None:
                active[:, place] = np.isin(codes[:, parent[0]], parent[1])
        return active

    def shares(self, one_hot: np.ndarray) -> np.ndarray:
        """How much of each option or anchor is fed next, of shape `(n, options or anchors)`.

        Args:
            one_hot: What was chosen, of shape `(n, decisions, options)`.
        """
        if not self.is_skip:
            return one_hot[:, 0]
        yes = (one_hot * (self.signs > 0)).sum(axis=2)
        return yes / (1 + yes.sum(axis=1, keepdims=True))


def plan_steps(space: SearchSpace) -> list[Step]:
    """The steps that make all decisions of a space, in its order.

    Raises:
        InvalidArgumentError: If an anchor is no earlier decision of the space.
    """
    groups: list[list[Decision]] = []
    for decision in space.decisions:
        if groups and _joins(decision, groups[-1]):
            groups[-1].append(decision)
        else:
            groups.append([decision])
    columns = {decision.name: column for column, decision in enumerate(space.decisions)}
    anchored = {anchor for decision in space.decisions for anchor in _anchors(decision)}
    step_of: dict[str | None, int | None] = {None: None}
    steps: list[Step] = []
    for group in groups:
        is_skip = _is_skip(group[0])
        step = Step(
            decisions=tuple(group),
            columns=[columns[decision.name] for decision in group],
            parents=[_parent(space, columns, decision) for decision in group],
            anchors=[_earlier(step_of, decision, anchor) for decision in group for anchor in _anchors(decision)],
            is_skip=is_skip,
            sees_outcome=not is_skip and group[0].name in anchored,
            signs=np.array([[1.0 if o else -1.0 for o in d.options] for d in group] if is_skip else 1.0),
        )
        step_of.update({decision.name: len(steps) for decision in group})
        steps.append(step)
    return steps


def _anchors(decision: Decision) -> tuple[str | None, ...]:
    """Those to attend to: none where a yes/no decision has one option left."""
    if decision.anchors is None or (isinstance(decision.options[0], bool) and len(decision.options) == 1):
        return ()
    return decision.anchors


def _is_skip(decision: Decision) -> bool:
    return bool(_anchors(decision)) and isinstance(decision.options[0], bool)


def _joins(decision: Decision, group: list[Decision]) -> bool:
    """Whether a skip connection leads into the same layer as those of `group`."""
    if not _is_skip(decision) or not _is_skip(group[0]):
        return False
    names: set[str | None] = {member.name for member in group}
    is_repeated = _anchors(decision) in [_anchors(member) for member in group]
    depends = _anchors(decision)[0] in names or (decision.parent is not None and decision.parent[0] in names)
    return not is_repeated and not depends


def _parent(space: SearchSpace, columns: dict[str, int], decision: Decision) -> tuple[int, list[int]] | None:
    if decision.parent is None:
        return None
    name, values = decision.parent
    return columns[name], [space[name].options.index(value) for value in values]


def _earlier(step_of: dict[str | None, int | None], decision: Decision, anchor: str | None) -> int | None:
    if anchor not in step_of:
        raise InvalidArgumentError(
            f"An anchor of {decision.name!r} must be None or a decision that stands before it. "
            f"Received: anchor={anchor!r}"
        )
    return step_of[anchor]


def initial_weights(steps: Sequence[Step], hidden_size: int, seed: int) -> Weights:
    """All arrays uniform between -0.1 and 0.1, each from a generator of its own."""
    shapes: dict[str, tuple[int, ...]] = {"start": (hidden_size,), "lstm": (2 * hidden_size, 4 * hidden_size)}
    attending = [step for step in steps if step.anchors]
    if attending:
        shapes["attention/previous"] = shapes["attention/current"] = (hidden_size, hidden_size)
        shapes["attention/vector"] = (hidden_size,)
        shapes["attention/inputs"] = (max(step.anchors.count(None) for step in attending), hidden_size)
    for step in steps:
        if not step.anchors:
            [decision] = step.decisions
            shape = (len(decision.options), hidden_size)
            shapes[f"softmax/{decision.name}"] = shapes[f"embedding/{decision.name}"] = shape
    return {
        name: np.random.default_rng((seed, zlib.crc32(name.encode()))).uniform(-0.1, 0.1, size=shape)
        for name, shape in shapes.items()
    }


class LSTMCell:
    """One step of an LSTM without bias; the gates are in the order input, forget, output, content."""

    def __init__(self, weights: Weights, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> None:
        self._weight = weights["lstm"]
        self._previous_c = c
        self._joined = np.concatenate((x, h), axis=1)
        gates = self._joined @ self._weight
        size = x.shape[1]
        self._i, self._f, self._o = np.split(expit(gates[:, : 3 * size]), 3, axis=1)
        self._g = np.tanh(gates[:, 3 * size :])
        self.c = self._f * c + self._i * self._g
        self._tanh_c = np.tanh(self.c)
        self.h = self._o * self._tanh_c

    def backward(
        self, d_h: np.ndarray, d_c: np.ndarray, gradient: Weights
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The gradients by `x`, `h` and `c`, given those by the new `h` and `c`; adds to `gradient`."""
        i, f, o, g = self._i, self._f, self._o, self._g
        d_c = d_c + d_h * o * (1 - self._tanh_c**2)
        d_gates = np.concatenate(
            (
                d_c * g * i * (1 - i),
                d_c * self._previous_c * f * (1 - f),
                d_h * self._tanh_c * o * (1 - o),
                d_c * i * (1 - g**2),
            ),
            axis=1,
        )
        gradient["lstm"] += self._joined.T @ d_gates
        d_x, d_h = np.split(d_gates @ self._weight.T, 2, axis=1)
        return d_x, d_h, d_c * f


class ChoiceHead:
    """The logits of options, `softmax h`, and what is fed next, their embeddings.

    Attributes:
        logits: Of shape `(n, 1, options)`.
    """

    def __init__(self, weights: Weights, step: Step, h: np.ndarray, states: Sequence[np.ndarray]) -> None:
        self._names = [f"{kind}/{step.decisions[0].name}" for kind in ("softmax", "embedding")]
        self._softmax, self._embedding = (weights[name] for name in self._names)
        self._h = h
        self.logits = (h @ self._softmax.T)[:, None, :]

    def mix(self, shares: np.ndarray) -> np.ndarray:
        """What is fed next."""
        return shares @ self._embedding

    def backward(
        self,
        d_logits: np.ndarray,
        d_mixed: np.ndarray,
        shares: np.ndarray,
        d_states: Sequence[np.ndarray],
        gradient: Weights,
    ) -> np.ndarray:
        """The gradient by `h`, given those by `logits` and by what was mixed; adds to `d_states` and `gradient`."""
        softmax, embedding = self._names
        gradient[softmax] += d_logits[:, 0].T @ self._h
        gradient[embedding] += shares.T @ d_mixed
        return d_logits[:, 0] @ self._softmax


class AttentionHead:
    """The logits of anchors, `v . tanh(W_prev anchor + W_curr h)`, and what is fed next, the anchors.

    Attributes:
        logits: Of shape `(n, 1, anchors)` for an input, `(n, anchors, 1)` for skip connections.
    """

    def __init__(self, weights: Weights, step: Step, h: np.ndarray, states: Sequence[np.ndarray]) -> None:
        self._weights = weights
        self._step_anchors = step.anchors
        self._own_inputs = [place for place, anchor in enumerate(step.anchors) if anchor is None]
        self._h = h
        self._anchors = np.stack([np.zeros_like(h) if a is None else states[a] for a in step.anchors], axis=1)
        keys = self._anchors @ weights["attention/previous"]
        keys[:, self._own_inputs] += weights["attention/inputs"][: len(self._own_inputs)]
        self._hidden = np.tanh(keys + (h @ weights["attention/current"])[:, None])
        q = self._hidden @ weights["attention/vector"]
        self.logits = q[:, :, None] if step.is_skip else q[:, None, :]

    def mix(self, shares: np.ndarray) -> np.ndarray:
        """What is fed next."""
        return (shares[:, None] @ self._anchors)[:, 0]

    def backward(
        self,
        d_logits: np.ndarray,
        d_mixed: np.ndarray,
        shares: np.ndarray,
        d_states: Sequence[np.ndarray],
        gradient: Weights,
    ) -> np.ndarray:
        """The gradient by `h`, given those by `logits` and by what was mixed; adds to `d_states` and `gradient`."""
        size = self._h.shape[1]
        d_q = d_logits.reshape(shares.shape)
        d_keys = d_q[:, :, None] * self._weights["attention/vector"] * (1 - self._hidden**2)
        d_anchors = shares[:, :, None] * d_mixed[:, None] + d_keys @ self._weights["attention/previous"].T
        for place, anchor in enumerate(self._step_anchors):
            if anchor is not None:
                d_states[anchor][...] += d_anchors[:, place]
        gradient["attention/vector"] += d_q.ravel() @ self._hidden.reshape(-1, size)
        gradient["attention/previous"] += self._anchors.reshape(-1, size).T @ d_keys.reshape(-1, size)
        gradient["attention/inputs"][: len(self._own_inputs)] += d_keys[:, self._own_inputs].sum(axis=0)
        d_current = d_keys.sum(axis=1)
        gradient["attention/current"] += self._h.T @ d_current
        return d_current @ self._weights["attention/current"].T
