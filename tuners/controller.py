"""`Controller`: the recurrent policy over architectures of NAS-RL and ENAS, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.tuners.controller_steps import (
    AttentionHead,
    ChoiceHead,
    LSTMCell,
    Step,
    Weights,
    initial_weights,
    plan_steps,
)


class Controller:
    """A distribution over the architectures of a space: an LSTM that makes one decision after the other.

    Each step feeds the LSTM with the outcome of the step before and reads logits from its state `h`:

    - A decision without anchors is a softmax; the embedding of the chosen option is fed next.
    - A decision with one anchor per option (`Decision.anchors`) is a softmax over
      `v . tanh(W_prev anchor + W_curr h)`; the chosen anchor is fed next.
    - Consecutive yes/no decisions with an anchor are one step, the skip connections into one layer:
      "yes" has the logit `q = v . tanh(W_prev anchor + W_curr h)` and "no" has `-q`. The sum of the
      chosen anchors, divided by one plus their number, is fed next.

    An anchor is the state after that decision: for skip connections the `h` they were read from, else
    that of one more step, which is fed with the outcome, and after which the first input comes again.
    Logits pass `x / temperature`, then `tanh_constant * tanh(x)`. Inactive decisions are skipped and
    carry no probability; an inactive anchor counts as zeros.

    ```python
    controller = Controller(space, seed=0)
    architectures = controller.sample(rng, 20)
    rewards = np.array([accuracy(architecture) for architecture in architectures])
    gradient = controller.gradient(architectures, rewards - rewards.mean())
    for name, weight in controller.weights.items():
        weight += 0.01 * gradient[name]
    ```

    Sources: Zoph and Le, ICLR 2017, sections 3.1 and 3.3; Pham et al., ICML 2018, section 2, with the equations
    of the code released for it. Differences: softmax and embedding belong to one decision (released: to
    all layers); one LSTM layer (Zoph and Le: two); the keys of the network's own inputs are learnt vectors
    (released: `W_prev` times states of the LSTM), so that one input can be preferred to the other.

    Args:
        space: The architectures.
        seed: Of the initial weights. Each array depends on its name too: in a space that grew, those of
            old decisions begin as they did.
        hidden_size: Units of the LSTM.
        temperature: Divides the logits: the larger, the more uniform.
        tanh_constant: The largest absolute value of a logit. `None` does not bound them.
        skip_target: The probability of a skip connection from which `skip_divergence` is measured.

    Attributes:
        weights: Arrays by name, float64, to be updated in place.

    Raises:
        InvalidArgumentError: If a number is out of range, or an anchor is no earlier decision of the space.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        hidden_size: int = 64,
        temperature: float = 1.0,
        tanh_constant: float | None = 1.5,
        skip_target: float = 0.4,
    ) -> None:
        if hidden_size < 1:
            raise InvalidArgumentError(f"`hidden_size` must be at least 1. Received: hidden_size={hidden_size}")
        if not temperature > 0:
            raise InvalidArgumentError(f"`temperature` must be positive. Received: temperature={temperature}")
        if tanh_constant is not None and not tanh_constant > 0:
            raise InvalidArgumentError(
                f"`tanh_constant` must be positive or None. Received: tanh_constant={tanh_constant}"
            )
        if not 0 < skip_target < 1:
            raise InvalidArgumentError(f"`skip_target` must be between 0 and 1. Received: skip_target={skip_target}")
        self.space = space
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        self.skip_target = skip_target
        self._steps = plan_steps(space)
        self._num_skip_steps = sum(step.is_skip for step in self._steps)
        self.weights = initial_weights(self._steps, hidden_size, seed)

    def sample(self, rng: np.random.Generator, n: int = 1, *, flatness: float | np.ndarray = 1.0) -> list[Architecture]:
        """Draw `n` architectures.

        Args:
            rng: The only source of random numbers.
            n: How many.
            flatness: Divides the logits, already bounded, of all architectures or, with shape `(n,)`,
                of each: 1 draws from the distribution itself, a large number nearly uniformly.
        """
        codes = np.full((n, len(self.space.decisions)), -1)
        self._forward(codes, rng, np.broadcast_to(flatness, n)[:, None, None])
        decisions = self.space.decisions
        return [
            self.space.canonical({d.name: d.options[i] for d, i in zip(decisions, row, strict=True) if i >= 0})
            for row in codes.tolist()
        ]

    def log_prob(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """The natural logarithms of their probabilities, of shape `(n,)`.

        Decisions that an architecture leaves out carry none.
        """
        return self._total(architectures, _Trace.log_prob)

    def entropy(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """The summed entropies, in nats, of the decisions met on the way to each, of shape `(n,)`.

        Their expectation is the entropy of the distribution.
        """
        return self._total(architectures, _Trace.entropy)

    def skip_divergence(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """How far the skip probabilities met on the way to each are from `skip_target`, of shape `(n,)`.

        Kullback-Leibler divergences, in nats, summed over the skip connections into a layer and averaged over
        layers. Difference: the released code takes them of `sigmoid(q)`, though it draws with
        probability `sigmoid(2 q)`; here they are of the latter.
        """
        return self._total(architectures, self._skip_divergence)

    def gradient(
        self,
        architectures: Sequence[Architecture],
        log_prob: np.ndarray | float = 0.0,
        entropy: np.ndarray | float = 0.0,
        skip_divergence: np.ndarray | float = 0.0,
    ) -> Weights:
        """The gradient of a weighted sum over architectures, by back-propagation through time.

        Args:
            architectures: Of the space.
            log_prob: The weight of each `log_prob`: a number, or an array of shape `(n,)`.
            entropy: The weight of each `entropy`.
            skip_divergence: The weight of each `skip_divergence`.

        Returns:
            Arrays named and shaped as `weights`.
        """
        traces = self._forward(self._encode(architectures))
        factors = [np.broadcast_to(w, len(architectures))[:, None, None] for w in (log_prob, entropy, skip_divergence)]
        return self._backward(traces, [self._logit_gradient(trace, *factors) for trace in traces], len(architectures))

    def _total(self, architectures: Sequence[Architecture], measure: Callable[[_Trace], np.ndarray]) -> np.ndarray:
        total = np.zeros(len(architectures))
        for trace in self._forward(self._encode(architectures)):
            total += measure(trace)
        return total

    def _encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        codes = [self.space.encode(architecture) for architecture in architectures]
        return np.array(codes, dtype=np.int32).reshape(len(codes), len(self.space.decisions))

    def _forward(
        self, codes: np.ndarray, rng: np.random.Generator | None = None, flatness: np.ndarray | float = 1.0
    ) -> list[_Trace]:
        """Go through all steps with the option indices `codes`; with a generator they are drawn and filled in."""
        start = np.broadcast_to(self.weights["start"], (len(codes), self.weights["start"].size))
        x, h, c = start, np.zeros_like(start), np.zeros_like(start)
        states: list[np.ndarray] = []
        traces: list[_Trace] = []
        for step in self._steps:
            active = codes[:, step.columns] >= 0 if rng is None else step.active(codes)
            cell = LSTMCell(self.weights, x, h, c)
            head = (AttentionHead if step.anchors else ChoiceHead)(self.weights, step, cell.h, states)
            bounded = self._bound(head.logits)
            log_p = log_softmax(bounded * step.signs, axis=2)
            if rng is not None:
                # The Gumbel-max trick draws from the softmax of what is given.
                drawn = np.argmax(log_p / flatness + rng.gumbel(size=log_p.shape), axis=2)
                codes[:, step.columns] = np.where(active, drawn, -1)
            one_hot = (codes[:, step.columns, None] == np.arange(log_p.shape[2])).astype(np.float64)
            shares = step.shares(one_hot)
            fed, last = head.mix(shares), cell
            if step.sees_outcome:
                fed, last = start, LSTMCell(self.weights, fed, cell.h, cell.c)
            taken = np.asarray(active.any(axis=1, keepdims=True))
            states.append(np.where(taken, last.h, 0.0))
            x, h, c = np.where(taken, fed, x), np.where(taken, last.h, h), np.where(taken, last.c, c)
            traces.append(_Trace(step, active, taken, one_hot, shares, bounded, log_p, cell, head, last))
        return traces

    def _bound(self, logits: np.ndarray) -> np.ndarray:
        cooled = logits / self.temperature
        return cooled if self.tanh_constant is None else self.tanh_constant * np.tanh(cooled)

    def _log_target(self, step: Step) -> np.ndarray:
        return np.log(np.where(step.signs > 0, self.skip_target, 1 - self.skip_target))

    def _skip_divergence(self, trace: _Trace) -> np.ndarray:
        if not trace.step.is_skip:
            return np.zeros(len(trace.active))
        return trace.sum(trace.p * (trace.log_p - self._log_target(trace.step))) / self._num_skip_steps

    def _logit_gradient(
        self, trace: _Trace, log_prob: np.ndarray, entropy: np.ndarray, skip_divergence: np.ndarray
    ) -> np.ndarray:
        """The gradient of the weighted sum by the logits of a step, before they are bounded."""
        p, log_p, step = trace.p, trace.log_p, trace.step
        d_log_p = log_prob * trace.one_hot - entropy * p * (log_p + 1)
        if step.is_skip:
            d_log_p += skip_divergence / self._num_skip_steps * p * (log_p - self._log_target(step) + 1)
        d_log_p *= trace.active[:, :, None]
        d_bounded = (d_log_p - p * d_log_p.sum(axis=2, keepdims=True)) * step.signs
        if step.is_skip:
            d_bounded = d_bounded.sum(axis=2, keepdims=True)
        if self.tanh_constant is not None:
            d_bounded *= self.tanh_constant - trace.bounded**2 / self.tanh_constant
        return d_bounded / self.temperature

    def _backward(self, traces: list[_Trace], d_logits: list[np.ndarray], n: int) -> Weights:
        """Back-propagation through time of the gradients by the logits of every step."""
        gradient = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        d_x, d_h, d_c = np.zeros((3, n, self.weights["start"].size))
        d_states = [np.zeros_like(d_h) for _ in traces]
        for trace, d_logit, d_state in reversed(list(zip(traces, d_logits, d_states, strict=True))):
            passed = [np.where(trace.taken, 0.0, d) for d in (d_x, d_h, d_c)]
            d_x, d_h, d_c = (np.where(trace.taken, d, 0.0) for d in (d_x, d_h + d_state, d_c))
            if trace.step.sees_outcome:
                gradient["start"] += d_x.sum(axis=0)
                d_x, d_h, d_c = trace.last.backward(d_h, d_c, gradient)
            d_h = d_h + trace.head.backward(d_logit, d_x, trace.shares, d_states, gradient)
            d_x, d_h, d_c = (d + p for d, p in zip(trace.cell.backward(d_h, d_c, gradient), passed, strict=True))
        gradient["start"] += d_x.sum(axis=0)
        return gradient


@dataclass(frozen=True)
class _Trace:
    """What a step leaves for the way back.

    Attributes:
        step: The step.
        active: Which of its decisions are made, of shape `(n, decisions)`.
        taken: Whether any is, of shape `(n, 1)`.
        one_hot: The options chosen, of shape `(n, decisions, options)`.
        shares: What was fed next.
        bounded: The logits, bounded.
        log_p: The logarithms of the probabilities, of shape `(n, decisions, options)`.
        cell: The state that was read.
        head: What read it.
        last: The state that saw the outcome, or `cell`.
    """

    step: Step
    active: np.ndarray
    taken: np.ndarray
    one_hot: np.ndarray
    shares: np.ndarray
    bounded: np.ndarray
    log_p: np.ndarray
    cell: LSTMCell
    head: ChoiceHead | AttentionHead
    last: LSTMCell

    @property
    def p(self) -> np.ndarray:
        """The probabilities."""
        return np.exp(self.log_p)

    def log_prob(self) -> np.ndarray:
        """Of what was chosen."""
        return self.sum(self.log_p * self.one_hot)

    def entropy(self) -> np.ndarray:
        """Of the active decisions."""
        return self.sum(-self.p * self.log_p)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum over active decisions and their options."""
        return (values.sum(axis=2) * self.active).sum(axis=1)
