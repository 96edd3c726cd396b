"""Decisions from the hyperparameters that anyone's hypermodel declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space.decision import Decision, Option

if TYPE_CHECKING:
    import keras_tuner
    from keras_tuner.engine.hyperparameters import HyperParameter

MAX_OPTIONS = 100  # of one decision: more cannot be told apart within the evaluations one can afford


def decisions_from(hyperparameters: keras_tuner.HyperParameters) -> tuple[Decision, ...]:
    """The decisions that hyperparameters stand for, in the order declared.

    `Choice`, `Boolean` and `Fixed` keep their values. An `Int` or `Float` gives the values of its
    grid and its default, with which Keras-Tuner builds the first model. A conditional scope
    becomes the parent. One name declared in several scopes is one decision, active in all of them.

    Raises:
        InvalidArgumentError: If a hyperparameter has no grid or one of more than 100 values, or if
            one name is declared in scopes that cannot be said with one parent.
    """
    declared: dict[str, list[HyperParameter]] = {}
    for entry in hyperparameters.space:
        declared.setdefault(entry.name, []).append(entry)
    decisions: dict[str, Decision] = {}
    for name, entries in declared.items():
        parent = _parent(entries, declared)
        decisions[name], *others = [Decision(name, _options(entry), entry.default, parent) for entry in entries]
        if any(other != decisions[name] for other in others):
            raise InvalidArgumentError(
                "A hyperparameter that is declared in several scopes must have the same values and the same default in "
                f"all of them; otherwise give it several names. Received: {entries}"
            )
    return tuple(decisions.values())


def _options(entry: HyperParameter) -> tuple[Option, ...]:
    from keras_tuner.engine import hyperparameters as kinds

    if isinstance(entry, kinds.Boolean):
        return (False, True)
    if isinstance(entry, kinds.Fixed):
        return (entry.value,)
    if isinstance(entry, kinds.Choice):
        return tuple(entry.values)
    kind = type(entry).__name__
    if entry.step is None:
        raise InvalidArgumentError(
            f"A {kind} must have a step to be searched, such as "
            f"`hp.{kind}({entry.name!r}, ..., step=10, sampling='log')` for powers of ten or "
            f"`hp.Choice({entry.name!r}, [...])` for chosen values. Received: {entry}"
        )
    values = [int(value) if isinstance(entry, kinds.Int) else float(value) for value in entry.values]
    if len(values) > MAX_OPTIONS:
        raise InvalidArgumentError(
            f"A {kind} must have at most {MAX_OPTIONS} values to be searched: give `hp.{kind}({entry.name!r}, ...)` a "
            f"larger `step`, or use `hp.Choice({entry.name!r}, [...])`. Received: {len(values)} values of {entry}"
        )
    return tuple(sorted({*values, entry.default}))


def _parent(
    entries: list[HyperParameter], declared: dict[str, list[HyperParameter]]
) -> tuple[str, tuple[Option, ...]] | None:
    """The condition of all declarations of one name together."""
    if not all(entry.conditions for entry in entries):
        return None
    # Keras-Tuner opens a scope only where its parent was declared under the same outer conditions.
    names = {entry.conditions[-1].name for entry in entries}
    parents = declared[names.pop()]
    active = [
        {
            value
            for entry in entries
            if entry.conditions[:-1] == parent.conditions
            for value in entry.conditions[-1].values
        }
        for parent in parents
    ]
    if names or any(values != active[0] for values in active):
        raise InvalidArgumentError(
            "A hyperparameter that is declared in several scopes must depend on one parent, with the same values "
            f"wherever that is declared; otherwise give it several names. Received: {entries}"
        )
    return parents[0].name, tuple(option for option in _options(parents[0]) if option in active[0])
