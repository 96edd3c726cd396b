"""AdamW and Muon for convolutions, with weight decay and gating inside the update of each variable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from automl_keras.errors import InvalidArgumentError

# Coefficients of the quintic Newton-Schulz iteration (Jordan et al., "Muon: an optimizer for hidden
# layers in neural networks", 2024): steepest at zero, singular values end near 1.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
MIN_MUON_CHANNELS = 4  # kernels on fewer input channels (a stem on pixels, depthwise) are no useful matrices

Gate = Callable[[tf.Variable], tf.Tensor | None]


class GatedAdamW(keras.optimizers.Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), each variable behind a gate.

    Keras's AdamW decays all variables outside `update_step`, and momentum moves a variable even
    under a zero gradient. In a supernet both would move branches that a step did not take. Here
    decay and update stand together behind `gate`, so that a closed gate leaves the variable and
    its slots untouched.

    Args:
        learning_rate: Step size.
        weight_decay: Decay for each unit of learning rate.
        gate: Called while tracing, with a variable; returns a boolean scalar tensor that says
            whether this step may change it, or `None` for always. It needs a single replica.

    Raises:
        InvalidArgumentError: By `apply`, if there is a gate and more than one replica.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.02,
        gate: Gate | None = None,
        name: str = "gated_adamw",
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **settings)
        self.decoupled_weight_decay = weight_decay
        self.gate = gate

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Decay and update one variable, whatever its gate."""
        self._decay_and_update(gradient, variable, learning_rate)

    def _backend_update_step(
        self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable], learning_rate: tf.Tensor
    ) -> None:
        # Keras adds up gradients over replicas with a custom gradient, even over a single one. TensorFlow registers
        # it for ever, and with it the whole graph of the step: every training would leave its graph behind.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            if self.gate is not None:  # which Keras's update of the replicas would pass by
                raise InvalidArgumentError(f"A gate needs a single replica. Received: num_replicas_in_sync={replicas}")
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        # One branch for all variables behind a gate: each branch is a function to trace, and to set up.
        behind: dict[Any, tuple[tf.Tensor | None, list[tuple[tf.Tensor, tf.Variable]]]] = {}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            value = variable.value if isinstance(variable, keras.Variable) else variable
            is_open = self.gate(value) if self.gate is not None else None
            behind.setdefault(None if is_open is None else is_open.ref(), (is_open, []))[1].append((gradient, value))
        for is_open, pairs in behind.values():

            def update(pairs: list[tuple[tf.Tensor, tf.Variable]] = pairs) -> tf.Tensor:
                for gradient, value in pairs:
                    self.update_step(gradient, value, learning_rate)
                return tf.constant(True)

            if is_open is None:
                update()
            else:
                tf.cond(is_open, update, lambda: tf.constant(False))

    def _decay_and_update(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        rate = tf.cast(learning_rate, variable.dtype)
        variable.assign_sub(rate * self.decoupled_weight_decay * variable)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        """The settings; the gate belongs to one supernet and is not among them."""
        config = super().get_config()
        config["weight_decay"] = self.decoupled_weight_decay
        return config


class Muon(GatedAdamW):
    """Momentum orthogonalised by Newton-Schulz for convolution kernels, AdamW for all else.

    A kernel of shape (k, k, in, out) counts as a matrix (out, k * k * in). Its Nesterov momentum is
    replaced by the nearest semi-orthogonal matrix, times sqrt(max(1, out / (k * k * in))). Keras's own
    Muon takes 2-D variables alone and leaves every convolution to AdamW.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.

    Args:
        learning_rate: Step size of the kernels.
        weight_decay: Decay for each unit of learning rate.
        momentum: Of the kernels.
        adam_ratio: Learning rate of all other variables, relative to `learning_rate`.
        gate: As in `GatedAdamW`.
    """

    def __init__(
        self,
        learning_rate: float = 0.05,
        weight_decay: float = 0.02,
        momentum: float = 0.9,
        adam_ratio: float = 0.15,
        gate: Gate | None = None,
        name: str = "muon",
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay, gate=gate, name=name, **settings)
        self.momentum = momentum
        self.adam_ratio = adam_ratio
        self._kernel_momentum: dict[Any, tf.Variable] = {}

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the slots."""
        super().build(variables)
        for variable in variables:
            if _is_kernel(variable.value):
                slot = self.add_variable_from_reference(variable, name="kernel_momentum")
                self._kernel_momentum[variable.value.ref()] = slot.value

    def _decay_and_update(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        if not _is_kernel(variable):
            super()._decay_and_update(gradient, variable, learning_rate * self.adam_ratio)
            return
        velocity = self._kernel_momentum[variable.ref()]
        velocity.assign(self.momentum * velocity + gradient)
        update = orthogonalize(gradient + self.momentum * velocity)
        variable.assign_sub(tf.cast(learning_rate, variable.dtype) * (update + self.decoupled_weight_decay * variable))

    def get_config(self) -> dict[str, Any]:
        """The settings."""
        return {**super().get_config(), "momentum": self.momentum, "adam_ratio": self.adam_ratio}


def _is_kernel(variable: tf.Variable) -> bool:
    return len(variable.shape) == 4 and variable.shape[2] >= MIN_MUON_CHANNELS and variable.shape[3] > 1


def orthogonalize(kernel: tf.Tensor) -> tf.Tensor:
    """Bring the singular values of a (k, k, in, out) kernel, seen as (out, k * k * in), close to 1."""
    shape = kernel.shape
    fan_in, out = math.prod(shape[:3]), shape[3]
    matrix = tf.reshape(kernel, (fan_in, out))
    wide = out <= fan_in
    x = tf.transpose(matrix) if wide else matrix  # the Gram matrix below is then the smaller one
    x /= tf.norm(x) + 1e-7
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * gram + c * tf.matmul(gram, gram), x)
    x = tf.transpose(x) if wide else x
    return tf.reshape(x, shape) * max(1.0, out / fan_in) ** 0.5
