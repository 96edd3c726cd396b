from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from automl_keras.errors import InvalidArgumentError
from automl_keras.training import GatedAdamW, Muon
from automl_keras.training.optimizers import orthogonalize


def variable(*shape: int, seed: int = 0) -> keras.Variable:
    return keras.Variable(np.random.default_rng(seed).normal(size=shape).astype("float32"))


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (1, 1, 4, 32)])
def test_orthogonalized_kernels_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    result = np.array(orthogonalize(tf.constant(kernel)))
    fan_in, out = np.prod(shape[:3]), shape[3]
    values = np.linalg.svd(result.reshape(fan_in, out), compute_uv=False) / max(1, out / fan_in) ** 0.5
    assert values.min() > 0.5 and values.max() < 1.3


def test_orthogonalization_keeps_singular_vectors() -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype("float32")
    u, s, vt = np.linalg.svd(kernel.reshape(36, 6), full_matrices=False)
    a, b, c = 3.4445, -4.7750, 2.0315
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    assert np.allclose(np.array(orthogonalize(tf.constant(kernel))).reshape(36, 6), u @ np.diag(s) @ vt, atol=1e-3)


def test_first_muon_step_by_hand() -> None:
    kernel = variable(3, 3, 4, 6)
    before = kernel.numpy()
    gradient = np.random.default_rng(2).normal(size=kernel.shape).astype("float32")
    optimizer = Muon(learning_rate=0.1, weight_decay=0.5)
    optimizer.apply([tf.constant(gradient)], [kernel])
    expected = before - 0.1 * (np.array(orthogonalize(tf.constant(1.9 * gradient))) + 0.5 * before)
    assert np.allclose(kernel.numpy(), expected, atol=1e-5)


def test_muon_leaves_other_variables_to_adamw() -> None:
    shapes = [(5,), (4, 3), (3, 3, 1, 8), (3, 3, 8, 1)]
    ours = [variable(*shape, seed=i) for i, shape in enumerate(shapes)]
    theirs = [keras.Variable(v.numpy()) for v in ours]
    muon = Muon(learning_rate=0.1, weight_decay=0.5, adam_ratio=0.2)
    adamw = keras.optimizers.AdamW(learning_rate=0.02, weight_decay=0.5)
    rng = np.random.default_rng(3)
    for _ in range(3):
        gradients = [tf.constant(rng.normal(size=v.shape), tf.float32) for v in ours]
        muon.apply(gradients, ours)
        adamw.apply(gradients, theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert np.allclose(one.numpy(), other.numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", [GatedAdamW, Muon])
def test_closed_gate_leaves_variable_and_slots_untouched(kind: type) -> None:
    is_open = tf.Variable(True)
    gated, free = variable(3, 3, 8, 8), variable(3, 3, 8, 8, seed=1)
    optimizer = kind(learning_rate=0.1, weight_decay=0.5, gate=lambda v: is_open if v is gated.value else None)
    optimizer.build([gated, free])

    @tf.function
    def step() -> None:
        optimizer.apply([tf.ones_like(gated), tf.ones_like(free)], [gated, free])

    step()
    is_open.assign(False)
    frozen = [gated.numpy()] + [v.numpy() for v in optimizer.variables if v.shape == gated.shape]
    moving = free.numpy()
    for _ in range(3):
        step()
    after = [gated.numpy()] + [v.numpy() for v in optimizer.variables if v.shape == gated.shape]
    assert np.array_equal(frozen[0], after[0])
    assert not np.array_equal(moving, free.numpy())
    # Half of the slots of this shape belong to the free variable and move, the others must not.
    assert sum(np.array_equal(a, b) for a, b in zip(frozen[1:], after[1:], strict=True)) >= (len(after) - 1) / 2
    is_open.assign(True)
    step()
    assert not np.array_equal(frozen[0], gated.numpy())


def test_keras_calls_the_hook_in_which_the_gate_is() -> None:
    """It is an internal of Keras: under another name no gate would ever close."""
    calls = []

    class Watched(GatedAdamW):
        def _backend_update_step(self, *args: object) -> None:
            calls.append(len(args))
            super()._backend_update_step(*args)

    weight = variable(3, 3)
    assert hasattr(keras.optimizers.Adam, "_backend_update_step")
    Watched(gate=lambda v: tf.constant(False)).apply([tf.ones_like(weight)], [weight])
    assert calls == [3]
    assert np.array_equal(weight.numpy(), variable(3, 3).numpy())


def test_a_gate_is_refused_where_there_are_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = variable(3, 3)
    optimizer = GatedAdamW(gate=lambda v: tf.constant(False))
    optimizer.build([weight])
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(InvalidArgumentError, match="num_replicas_in_sync=2"):
        optimizer.apply([tf.ones_like(weight)], [weight])
