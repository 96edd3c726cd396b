"""`SearchSpace`: ordered decisions, and the ways to move among architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError
from automl_keras.search_space.architecture import Architecture
from automl_keras.search_space.decision import Decision, Option
from automl_keras.search_space.hyperparameters import decisions_from

if TYPE_CHECKING:
    import keras_tuner


class SearchSpace:
    """An ordered set of categorical decisions; later ones may depend on earlier ones.

    Every architecture that a space returns is canonical: it holds the active decisions
    alone, in the order of the space. A subclass may override `canonical` where different
    choices mean the same network.

    ```python
    space = SearchSpace(
        [
            Decision("kernel", (3, 5)),
            Decision("dropout", (False, True)),
            Decision("rate", (0.1, 0.3), parent=("dropout", (True,))),
        ]
    )
    assert space.size == 2 * (1 + 2)
    architecture = space.sample(np.random.default_rng(0))
    other = space.mutate(architecture, np.random.default_rng(1))
    assert space.canonical({"kernel": 5}) == Architecture({"kernel": 5, "dropout": False})
    ```

    Args:
        decisions: The decisions; a parent stands before its children.

    Raises:
        InvalidArgumentError: If names repeat or a parent is unknown.
    """

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self.decisions = tuple(decisions)
        self._by_name: dict[str, Decision] = {}
        for decision in self.decisions:
            if decision.name in self._by_name:
                raise InvalidArgumentError(f"Decision names must be unique. Received: name={decision.name!r}")
            if decision.parent is not None:
                self._check_parent(decision, *decision.parent)
            self._by_name[decision.name] = decision

    def _check_parent(self, decision: Decision, parent: str, values: tuple[Option, ...]) -> None:
        if parent not in self._by_name:
            raise InvalidArgumentError(
                f"A parent must be a decision that stands before its child {decision.name!r}. "
                f"Received: parent={parent!r}"
            )
        if not values or not set(values) <= set(self._by_name[parent].options):
            raise InvalidArgumentError(
                f"Parent values of {decision.name!r} must be options of {parent!r}. Received: values={values}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the decisions, in order."""
        return tuple(self._by_name)

    def __getitem__(self, name: str) -> Decision:
        return self._by_name[name]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SearchSpace):
            return self.to_dict() == other.to_dict()
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.decisions)} decisions, {self.size:.3g} architectures)"

    @property
    def size(self) -> int:
        """The exact number of distinct assignments of active decisions."""
        children: dict[str, list[Decision]] = {}
        for decision in self.decisions:
            if decision.parent is not None:
                children.setdefault(decision.parent[0], []).append(decision)

        def count(decision: Decision) -> int:
            total = 0
            for option in decision.options:
                product = 1
                for child in children.get(decision.name, []):
                    if child.parent is not None and option in child.parent[1]:
                        product *= count(child)
                total += product
            return total

        product = 1
        for decision in self.decisions:
            if decision.parent is None:
                product *= count(decision)
        return product

    def canonical(self, values: Mapping[str, Any]) -> Architecture:
        """The architecture that `values` mean: defaults filled in, inactive decisions left out.

        Raises:
            InvalidArchitectureError: If a name is unknown or a value is no option.
        """
        unknown = [name for name in values if name not in self._by_name]
        if unknown:
            raise InvalidArchitectureError(f"Names must be decisions of the space. Received: {unknown}")
        chosen: dict[str, Option] = {}
        for decision in self.decisions:
            value = values.get(decision.name, decision.default)
            if value not in decision.options:
                raise InvalidArchitectureError(
                    f"`{decision.name}` must be one of {decision.options}. Received: {decision.name}={value!r}"
                )
            if self._is_active(decision, chosen):
                # The option itself, not the given value: 1, 1.0, True and numpy's 1 compare equal.
                chosen[decision.name] = decision.options[decision.options.index(value)]
        return Architecture(chosen)

    @staticmethod
    def _is_active(decision: Decision, chosen: Mapping[str, Option]) -> bool:
        return decision.parent is None or chosen.get(decision.parent[0]) in decision.parent[1]

    def default(self) -> Architecture:
        """The architecture in which every decision has its default."""
        return self.canonical({})

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw every active decision uniformly."""
        return self.canonical({d.name: d.options[int(rng.integers(len(d.options)))] for d in self.decisions})

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one active decision, drawn uniformly, to another of its options.

        Decisions that become active are drawn uniformly. The result differs from
        `architecture` unless nothing can be changed.
        """
        changeable = [name for name in architecture if len(self[name].options) > 1]
        if not changeable:
            return architecture
        name = changeable[int(rng.integers(len(changeable)))]
        others = [option for option in self[name].options if option != architecture[name]]
        fresh = self.sample(rng)
        return self.canonical({**fresh, **architecture, name: others[int(rng.integers(len(others)))]})

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """Take each decision from either parent with equal chance (uniform crossover)."""
        from_first = rng.random(len(self.decisions)) < 0.5
        values: dict[str, Option] = {}
        for decision, take_first in zip(self.decisions, from_first, strict=True):
            one, other = (first, second) if take_first else (second, first)
            # A decision that only one parent has made comes from that parent.
            for source in (other, one):
                if decision.name in source:
                    values[decision.name] = source[decision.name]
        return self.canonical(values)

    def encode(self, architecture: Mapping[str, Option]) -> np.ndarray:
        """Option indices, int32 of shape `(len(decisions),)`; -1 where a decision is inactive."""
        return np.array(
            [d.options.index(architecture[d.name]) if d.name in architecture else -1 for d in self.decisions],
            dtype=np.int32,
        )

    def restrict(self, options: Mapping[str, Sequence[Option]]) -> Self:
        """The sub-space in which the named decisions keep only the given options.

        A default that is dropped is replaced by the first option left; children that can
        never become active are dropped.

        Raises:
            InvalidArgumentError: If a name or an option is unknown, or none is left.
        """
        for name, kept in options.items():
            if name not in self._by_name or not kept or not set(kept) <= set(self[name].options):
                raise InvalidArgumentError(
                    f"`options` must name decisions and some of their options. Received: {name}={list(kept)}"
                )
        restricted: dict[str, Decision] = {}
        for decision in self.decisions:
            kept = [o for o in decision.options if o in options.get(decision.name, decision.options)]
            parent = decision.parent
            if parent is not None:
                values = tuple(v for v in parent[1] if parent[0] in restricted and v in restricted[parent[0]].options)
                if not values:
                    continue
                parent = (parent[0], values)
            default = decision.default if decision.default in kept else kept[0]
            anchors = decision.anchors_left(kept, restricted)
            restricted[decision.name] = Decision(decision.name, tuple(kept), default, parent, anchors)
        return self._replace(tuple(restricted.values()))

    def _replace(self, decisions: Sequence[Decision]) -> Self:
        """A space of the same kind over other decisions; subclasses with more state override it."""
        return type(self)(decisions)

    def to_hyperparameters(self) -> keras_tuner.HyperParameters:
        """The space as Keras-Tuner hyperparameters, conditional scopes included."""
        import keras_tuner

        hp = keras_tuner.HyperParameters()
        self.declare(hp)
        return hp

    def declare(self, hp: keras_tuner.HyperParameters) -> Architecture:
        """Declare all decisions on `hp`, and return the architecture of its present values."""
        values: dict[str, Any] = {}
        for decision in self.decisions:
            with ExitStack() as scopes:
                for parent, options in self._conditions(decision):
                    scopes.enter_context(hp.conditional_scope(parent, list(options)))
                value = hp.Choice(decision.name, list(decision.options), default=decision.default)
            if value is not None:  # None while inactive
                values[decision.name] = value
        return self.canonical(values)

    def _conditions(self, decision: Decision) -> list[tuple[str, tuple[Option, ...]]]:
        """What must hold for a decision to be active, outermost first."""
        conditions: list[tuple[str, tuple[Option, ...]]] = []
        while decision.parent is not None:
            conditions.insert(0, decision.parent)
            decision = self[decision.parent[0]]
        return conditions

    @classmethod
    def from_hyperparameters(cls, hyperparameters: keras_tuner.HyperParameters) -> Self:
        """The space that a hypermodel declared on `hyperparameters`; see `decisions_from`.

        ```python
        hp = keras_tuner.HyperParameters()
        build_model(hp)
        space = SearchSpace.from_hyperparameters(hp)
        ```

        Raises:
            InvalidArgumentError: If a hyperparameter cannot be searched; the text says what to write instead.
        """
        return cls(decisions_from(hyperparameters))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return {"decisions": [decision.to_dict() for decision in self.decisions]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a space from `to_dict`."""
        return cls([Decision.from_dict(item) for item in data["decisions"]])
