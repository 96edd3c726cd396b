import keras_tuner
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Decision, SearchSpace


def declared(declare) -> tuple[Decision, ...]:
    hp = keras_tuner.HyperParameters()
    declare(hp)
    return SearchSpace.from_hyperparameters(hp).decisions


@pytest.mark.parametrize(
    ("declare", "options", "default"),
    [
        (lambda hp: hp.Choice("x", ["a", "b"], default="b"), ("a", "b"), "b"),
        (lambda hp: hp.Choice("x", [0.5, 0.25]), (0.5, 0.25), 0.5),
        (lambda hp: hp.Boolean("x", default=True), (False, True), True),
        (lambda hp: hp.Fixed("x", 3), (3,), 3),
        (lambda hp: hp.Int("x", 1, 3), (1, 2, 3), 1),
        (lambda hp: hp.Int("x", 16, 70, step=16, default=32), (16, 32, 48, 64), 32),
        (lambda hp: hp.Int("x", 2, 32, step=2, sampling="log"), (2, 4, 8, 16, 32), 2),
        (lambda hp: hp.Float("x", 0, 1, step=0.5), (0.0, 0.5, 1.0), 0.0),
        (lambda hp: hp.Float("x", 1e-3, 10, step=10, sampling="log"), (0.001, 0.01, 0.1, 1.0, 10.0), 0.001),
        # Keras-Tuner builds the first model with a default that is not on the grid.
        (lambda hp: hp.Int("x", 10, 30, step=10, default=25), (10, 20, 25, 30), 25),
    ],
)
def test_every_kind(declare, options, default) -> None:
    assert declared(declare) == (Decision("x", options, default),)
    [decision] = declared(declare)
    assert {type(option) for option in decision.options} == {type(default)}


def test_every_value_is_the_one_that_keras_tuner_draws() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0, step=0.1)
    hp.Int("n", 3, 96, step=2, sampling="reverse_log")
    space = SearchSpace.from_hyperparameters(hp)
    for entry in hp.space:
        drawn = {entry.random_sample(seed) for seed in range(200)}
        assert drawn == set(space[entry.name].options)


def test_scopes_with_several_parent_values_nested() -> None:
    def declare(hp) -> None:
        hp.Choice("kind", ["mlp", "cnn", "vit"])
        with hp.conditional_scope("kind", ["cnn", "vit"]):
            hp.Boolean("pool")
            with hp.conditional_scope("pool", True):
                hp.Choice("size", [2, 3])

    assert declared(declare) == (
        Decision("kind", ("mlp", "cnn", "vit")),
        Decision("pool", (False, True), parent=("kind", ("cnn", "vit"))),
        Decision("size", (2, 3), parent=("pool", (True,))),
    )


def test_one_name_in_several_scopes() -> None:
    def declare(hp) -> None:
        hp.Choice("kind", ["mlp", "cnn", "vit"])
        for kind in ("mlp", "vit"):
            with hp.conditional_scope("kind", kind):
                hp.Int("units", 8, 16, step=8)

    assert declared(declare)[1] == Decision("units", (8, 16), parent=("kind", ("mlp", "vit")))

    def declare_outside_too(hp) -> None:
        declare(hp)
        hp.Int("units", 8, 16, step=8)

    assert declared(declare_outside_too)[1] == Decision("units", (8, 16))


def pool_in(hp, kinds) -> None:
    for kind in kinds:
        with hp.conditional_scope("kind", kind):
            hp.Boolean("pool")
            with hp.conditional_scope("pool", True):
                hp.Choice("size", [2, 3])


def test_parent_in_several_scopes() -> None:
    def declare(hp) -> None:
        hp.Choice("kind", ["mlp", "cnn", "vit"])
        pool_in(hp, ["cnn", "vit"])

    assert declared(declare)[1:] == (
        Decision("pool", (False, True), parent=("kind", ("cnn", "vit"))),
        Decision("size", (2, 3), parent=("pool", (True,))),
    )


def test_same_values_as_keras_tuner_activates() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["mlp", "cnn"])
    with hp.conditional_scope("kind", "cnn"):
        hp.Int("kernel", 1, 5, step=2)
    hp.Boolean("bias")
    space = SearchSpace.from_hyperparameters(hp)
    assert space.size == 2 * (1 + 3)
    back = space.to_hyperparameters()
    for kind in ("mlp", "cnn"):
        architecture = space.canonical({"kind": kind})
        hp.values = dict(architecture)
        assert {entry.name for entry in hp.space if hp.is_active(entry)} == set(architecture)
        back.values = dict(architecture)
        assert {entry.name for entry in back.space if back.is_active(entry)} == set(architecture)


def child_in_one_of_two_scopes_of_its_parent(hp) -> None:
    hp.Choice("kind", ["mlp", "cnn", "vit"])
    pool_in(hp, ["cnn"])
    with hp.conditional_scope("kind", "vit"):
        hp.Boolean("pool")


def two_parents(hp) -> None:
    for parent in ("a", "b"):
        hp.Boolean(parent)
        with hp.conditional_scope(parent, True):
            hp.Boolean("c")


def twice_with_other_values(hp) -> None:
    hp.Boolean("a")
    for value, units in ((True, 8), (False, 16)):
        with hp.conditional_scope("a", value):
            hp.Choice("units", [units])


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda hp: hp.Float("rate", 1e-4, 1e-1), r"A Float must have a step .* `hp.Float\('rate', ..., step=10"),
        (lambda hp: hp.Int("units", 1, 512, sampling="log"), "An? Int must have a step"),
        (lambda hp: hp.Int("units", 1, 512), "at most 100 values .* larger `step`.*Received: 512 values"),
        (child_in_one_of_two_scopes_of_its_parent, "must depend on one parent, with the same values"),
        (two_parents, "must depend on one parent.*give it several names"),
        (twice_with_other_values, "must have the same values.*give it several names"),
    ],
)
def test_refused_with_what_to_write_instead(declare, message) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        declared(declare)
