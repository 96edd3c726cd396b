"""`Strategy`: decides which architecture to try next, and learns from what is told."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from itertools import chain
from typing import Any, Protocol

import numpy as np

from automl_keras.errors import AutoMLError, InvalidArgumentError, InvalidTypeError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.search_space.decision import Option

PROPOSAL_TRIES = 200
# Where one architecture in a thousand fits the budget, 5,000 samples miss them all once in 150 times.
SAMPLE_TRIES = 5_000
ENUMERABLE_SIZE = 10_000
MAXIMIZED = ("accuracy", "acc", "auc", "precision", "recall", "r2_score")
MINIMIZED = ("loss", "error", "crossentropy")


class Objective(Protocol):
    """What a strategy reads of an objective, such as a `keras_tuner.Objective`.

    Attributes:
        name: The name of a metric.
        direction: "max" or "min".
    """

    name: str
    direction: str


class Strategy(ABC):
    """Proposes architectures and learns from their evaluations.

    A strategy knows no model, no data and no disk. Proposals are canonical, feasible and new:
    never one that was told, is pending (asked for and not yet told) or has failed.

    A search is a loop of `ask` and `tell`:

    ```python
    strategy = EvolutionStrategy(space, seed=0)
    for _ in range(100):
        [architecture] = strategy.ask()
        strategy.tell([evaluator.evaluate(architecture)])
    strategy.best().architecture
    ```

    `ask` never waits and results may come in any order, so several workers can be served:

    ```python
    first, second = strategy.ask(2)              # pending: first, second
    strategy.tell([Evaluation(second, {"val_accuracy": 0.8})])
    [third] = strategy.ask()                     # knows second; pending: first, third
    strategy.tell([Evaluation(first, error="out of memory")])  # never proposed again
    ```

    A search that was killed goes on where its last state was taken. Random numbers come from
    the seed and the number of proposals so far, so it goes on as if nothing had happened:

    ```python
    state = json.dumps(strategy.get_state())
    same = EvolutionStrategy(space)
    same.set_state(json.loads(state))
    same.ask() == strategy.ask()                 # evaluate `same.pending` first
    ```

    A subclass writes `propose`. What it has to remember beyond `evaluations` it keeps by
    extending `tell`, `get_state` and `set_state`.

    Args:
        space: The architectures to choose from.
        objective: The metric to improve. The direction of a name is read from its end:
            "accuracy", "acc", "auc", "precision", "recall" and "r2_score" are maximised, "loss", "error"
            and "crossentropy" minimised. For other metrics give an object with `name` and
            `direction` ("max" or "min"), such as a `keras_tuner.Objective`.
        feasible: Tells whether an architecture may be proposed. `None` allows all.
        seed: A non-negative integer. `None` draws one, which the state then keeps.
        initial: Architectures to propose first, in this order, such as the default network.
            Infeasible ones are left out.

    Raises:
        InvalidArgumentError: If the direction of the objective is unknown or the seed is negative.
        InvalidTypeError: If the objective or the seed is of a wrong type.
        InvalidArchitectureError: If an initial architecture is not of the space.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
    ) -> None:
        self.space = space
        self.objective, self.direction = _name_and_direction(objective)
        self.feasible = feasible
        self.seed = _checked_seed(seed)
        self.initial = tuple(space.canonical(values) for values in initial)
        self._num_asked = 0
        self._generation = 0
        # Dictionaries as sets: the order of a set of strings changes from process to process.
        self._evaluations: dict[Architecture, Evaluation] = {}
        self._pending: dict[Architecture, None] = {}
        self._failed: dict[Architecture, None] = {}

    @abstractmethod
    def propose(self, rng: np.random.Generator) -> Architecture:
        """Draft one canonical architecture; called by `ask`.

        `ask` checks the draft and calls again, with the generator moved on, while the draft is
        infeasible or not new. After 200 vain calls it samples the space instead.

        Args:
            rng: The generator of this proposal, the only source of random numbers.
        """

    def ask(self, n: int = 1) -> list[Architecture]:
        """Up to `n` proposals, which are pending until they are told.

        Fewer than `n` mean that no architecture is left, or that 5,000 samples of a space too
        large to enumerate (more than 10,000 architectures) brought no new feasible one.
        """
        proposals: list[Architecture] = []
        while len(proposals) < n:
            proposal = self._next()
            if proposal is None:
                break
            self.note_asked(proposal)
            proposals.append(proposal)
        return proposals

    def note_asked(self, architecture: Architecture) -> None:
        """Count a proposal as asked for and pending, such as one of `ask` in a process that was killed."""
        self._num_asked += 1
        self._pending[self.space.canonical(architecture)] = None

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn from evaluations, whether or not their architectures were asked for.

        - A failed one (an error, or no finite value of the objective) is never learnt from and
          its architecture never proposed again.
        - An architecture told again has its earlier evaluation replaced.
        - Scores from shared weights are comparable within a generation only. The first of a
          newer generation makes the strategy forget those of older ones; their architectures
          may be proposed again. Late results of an older generation are dropped.
        - Infeasible architectures that were not asked for are dropped.

        Raises:
            InvalidArchitectureError: If an architecture is not of the space.
        """
        for evaluation in evaluations:
            self._tell_one(replace(evaluation, architecture=self.space.canonical(evaluation.architecture)))

    def best(self) -> Evaluation | None:
        """The evaluation with the best objective, the earliest among equals; `None` before any."""
        return max(self._evaluations.values(), key=self.score, default=None)

    def score(self, evaluation: Evaluation) -> float:
        """The objective of a successful evaluation, negated if it is minimised: higher is better."""
        value = evaluation.metrics[self.objective]
        return value if self.direction == "max" else -value

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """What is learnt from, one for each architecture, in the order told."""
        return tuple(self._evaluations.values())

    @property
    def pending(self) -> tuple[Architecture, ...]:
        """The architectures asked for and not yet told, in the order asked."""
        return tuple(self._pending)

    def extend(self, space: SearchSpace) -> None:
        """Go on in a space that grew, keeping all that was told.

        What was evaluated before a decision was known counts as made with its default: so
        Keras-Tuner builds a model that declares a new hyperparameter.

        ```python
        strategy.extend(SearchSpace([*strategy.space.decisions, Decision("units_1", (16, 32))]))
        ```

        Raises:
            InvalidArchitectureError: If the space does not hold what was proposed or told before.
        """
        state, initial = self.get_state(), tuple(space.canonical(values) for values in self.initial)
        previous, self.space = self.space, space
        try:
            self.set_state(state)
        except AutoMLError:
            self.space = previous
            raise
        self.initial = initial

    def is_allowed(self, architecture: Architecture) -> bool:
        """Whether a canonical architecture may be proposed: feasible, and neither told, pending nor failed."""
        if architecture in self._evaluations or architecture in self._pending or architecture in self._failed:
            return False
        return self.feasible is None or self.feasible(architecture)

    def generator(self, stage: str, index: int) -> np.random.Generator:
        """The random numbers of one step. They depend on the seed, `stage` and `index` alone.

        So a search that is resumed draws the same. `propose` gets its own; others are for what a
        strategy fits, such as a predictor on the first `index` evaluations.
        """
        return np.random.default_rng((self.seed, zlib.crc32(stage.encode()), index))

    def describe(self) -> dict[str, Any]:
        """The class and its settings, as JSON; neither the space nor the seed."""
        return described(self)

    def get_state(self) -> dict[str, Any]:
        """What was asked and told so far, as JSON; not the arguments of the constructor, but the seed."""
        return {
            "seed": self.seed,
            "num_asked": self._num_asked,
            "generation": self._generation,
            "evaluations": [evaluation.to_dict() for evaluation in self._evaluations.values()],
            "pending": [architecture.to_dict() for architecture in self._pending],
            "failed": [architecture.to_dict() for architecture in self._failed],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of a strategy with the same arguments: the next proposals are the same.

        Raises:
            InvalidArchitectureError: If the state is of another search space.
        """
        told = [Evaluation.from_dict(item) for item in state["evaluations"]]
        canonical = [replace(e, architecture=self.space.canonical(e.architecture)) for e in told]
        self._evaluations = {e.architecture: e for e in canonical}
        self._pending = {self.space.canonical(item): None for item in state["pending"]}
        self._failed = {self.space.canonical(item): None for item in state["failed"]}
        self.seed = state["seed"]
        self._num_asked = state["num_asked"]
        self._generation = state["generation"]

    def _next(self) -> Architecture | None:
        for architecture in self.initial:
            if self.is_allowed(architecture):
                return architecture
        rng = self.generator("ask", self._num_asked)
        size = self.space.size
        drafts = chain(
            (self.propose(rng) for _ in range(min(PROPOSAL_TRIES, size))),
            (self.space.sample(rng) for _ in range(min(SAMPLE_TRIES, size))),
            self._shuffled_space(rng) if size <= ENUMERABLE_SIZE else (),
        )
        return next(filter(self.is_allowed, drafts), None)

    def _shuffled_space(self, rng: np.random.Generator) -> Iterator[Architecture]:
        architectures = _enumerate(self.space)
        for index in rng.permutation(len(architectures)):
            yield architectures[index]

    def _tell_one(self, evaluation: Evaluation) -> None:
        architecture = evaluation.architecture
        if evaluation.failed(self.objective):
            self._forget([architecture])
            self._failed[architecture] = None
            return
        asked = architecture in self._pending
        if not asked and self.feasible is not None and not self.feasible(architecture):
            return
        if evaluation.source == "shared_weights":
            if evaluation.generation > self._generation:
                self._generation = evaluation.generation
                self._forget([a for a, e in self._evaluations.items() if e.source == "shared_weights"])
            elif evaluation.generation < self._generation:
                self._pending.pop(architecture, None)
                return
        self._forget([architecture])
        self._evaluations[architecture] = evaluation

    def _forget(self, architectures: Iterable[Architecture]) -> None:
        for architecture in architectures:
            self._evaluations.pop(architecture, None)
            self._pending.pop(architecture, None)
            self._failed.pop(architecture, None)


def described(owner: object) -> dict[str, Any]:
    """The class of an object and its public numbers, texts and dataclasses, except for the seed, as JSON."""
    own = {name: value for name, value in vars(owner).items() if name != "seed" and not name.startswith("_")}
    plain = {name: value for name, value in own.items() if isinstance(value, bool | int | float | str)}
    grouped = {name: asdict(v) for name, v in own.items() if is_dataclass(v) and not isinstance(v, type)}
    return {"class": type(owner).__qualname__, **plain, **grouped}


def _name_and_direction(objective: str | Objective) -> tuple[str, str]:
    if isinstance(objective, str):
        if objective.endswith(MAXIMIZED):
            return objective, "max"
        if objective.endswith(MINIMIZED):
            return objective, "min"
        raise InvalidArgumentError(
            f"The direction of `objective` must be known: its name ends in one of {MAXIMIZED + MINIMIZED}, or it is "
            f"an object with `name` and `direction`. Received: objective={objective!r}"
        )
    name, direction = getattr(objective, "name", None), getattr(objective, "direction", None)
    if not isinstance(name, str) or direction not in ("max", "min"):
        raise InvalidTypeError(
            "`objective` must be a name, or an object with a `name` and a `direction` of 'max' or 'min'. "
            f"Received: objective={objective!r}"
        )
    return name, objective.direction


def _checked_seed(seed: int | None) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InvalidTypeError(f"`seed` must be an integer or None. Received: seed={seed!r}")
    if seed < 0:
        raise InvalidArgumentError(f"`seed` must not be negative. Received: seed={seed}")
    return seed


def _enumerate(space: SearchSpace) -> list[Architecture]:
    """Every architecture once, in the order of the decisions."""
    partial: list[dict[str, Option]] = [{}]
    for decision in space.decisions:
        grown: list[dict[str, Option]] = []
        for values in partial:
            if decision.parent is None or values.get(decision.parent[0]) in decision.parent[1]:
                grown += [{**values, decision.name: option} for option in decision.options]
            else:
                grown.append(values)
        partial = grown
    return list(dict.fromkeys(space.canonical(values) for values in partial))
