"""Keras callbacks in the training loop: their hooks of trainings and of epochs, not those of batches."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.training.curve import CurvePoint

CALLED_HOOKS = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end")
BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
# What these do in the hooks of batches is switched off by "epoch" in the attribute.
SWITCHES = {keras.callbacks.ModelCheckpoint: "save_freq", keras.callbacks.TensorBoard: "update_freq"}
NEED_THE_OPTIMIZER = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.SwapEMAWeights,
)


def check_callbacks(callbacks: Any) -> tuple[keras.callbacks.Callback, ...]:
    """Callbacks that can be called by the training loop; none for `None`.

    Raises:
        InvalidTypeError: If it is no list of `keras.callbacks.Callback`.
        InvalidArgumentError: If one would do nothing here, or cannot be copied.

    Warns:
        UserWarning: If one has hooks of batches besides others.
    """
    if callbacks is None:
        return ()
    if not isinstance(callbacks, list | tuple) or not all(
        isinstance(callback, keras.callbacks.Callback) for callback in callbacks
    ):
        raise InvalidTypeError(
            f"`callbacks` must be a list of `keras.callbacks.Callback` or None. Received: callbacks={callbacks!r}"
        )
    for callback in callbacks:
        _check_hooks(callback)
    try:
        copy.deepcopy(callbacks)
    except Exception as error:
        raise InvalidArgumentError(
            "`callbacks` must be such that `copy.deepcopy` copies them: every training has its own. "
            f"Received: callbacks={callbacks!r} ({error})"
        ) from error
    return tuple(callbacks)


def _check_hooks(callback: keras.callbacks.Callback) -> None:
    name = type(callback).__name__
    if isinstance(callback, NEED_THE_OPTIMIZER):
        raise InvalidArgumentError(
            "`callbacks` must not need the optimizer: the learning rate follows the plan of the fit, one cycle in each "
            f"training. Received: callbacks with a {name}"
        )
    in_batches = [hook for hook in BATCH_HOOKS if _has(callback, hook)]
    if not in_batches or any(
        isinstance(callback, kind) and getattr(callback, switch) == "epoch" for kind, switch in SWITCHES.items()
    ):
        return
    rule = "Hooks of batches are not called: many steps are made in one call into TensorFlow"
    if not any(_has(callback, hook) for hook in CALLED_HOOKS):
        raise InvalidArgumentError(f"{rule}. Received: callbacks with a {name} that has only {', '.join(in_batches)}")
    warnings.warn(f"{rule}; {name} has {', '.join(in_batches)}.", stacklevel=2)


def _has(callback: keras.callbacks.Callback, hook: str) -> bool:
    """Whether a callback does anything in a hook."""
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(keras.callbacks.Callback, hook)


class EpochCallbacks:
    """Calls Keras callbacks for one training.

    They find the network in `model`: with the weights of that moment, and what they do to these counts. It has no
    optimizer. Their `params` are `epochs` (`None` where the clock ends the training), `steps` of an epoch and
    `verbose`, 0. The logs of `on_epoch_end` are `loss`, the mean over the epoch, `learning_rate`, that of its last
    step, and what `validate` returns. The last epoch may be cut short by the end of the training.

    Args:
        callbacks: Told in this order.
        model: What they are shown.
        trained: The network with the same weights that is trained.
        steps_per_epoch: Steps of an epoch.
        epochs: How many epochs there will be, `None` if that is not known.
        validate: Called at the end of each epoch for more logs.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        trained: keras.Model,
        *,
        steps_per_epoch: int,
        epochs: int | None,
        validate: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        model.stop_training = False
        model.optimizer = None  # Keras's own callbacks look for it
        self._model = model
        self._trained = trained
        self._validate = validate
        self._epoch = 0
        self._steps_before = 0
        self._loss_sum, self._steps_in_epoch, self._learning_rate = 0.0, 0, 0.0
        self._logs: dict[str, float] = {}
        self._callbacks = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=epochs, steps=steps_per_epoch, verbose=0
        )

    def begin(self) -> None:
        """Before the first step."""
        self._call(self._callbacks.on_train_begin)

    def before_steps(self) -> None:
        """Before the steps of a call: an epoch may begin."""
        if self._steps_in_epoch == 0:
            self._call(self._callbacks.on_epoch_begin, self._epoch)

    def after_steps(self, point: CurvePoint) -> bool:
        """After the steps of a call, which are all of one epoch; returns whether the training is to end."""
        steps = point.step - self._steps_before
        self._steps_before = point.step
        self._steps_in_epoch += steps
        self._loss_sum += steps * point.loss
        self._learning_rate = point.learning_rate
        if point.epoch.is_integer():
            self._end_epoch()
        return bool(self._model.stop_training)

    def end(self) -> None:
        """After the last step."""
        if self._steps_in_epoch > 0:
            self._end_epoch()
        self._call(self._callbacks.on_train_end, self._logs)

    def _end_epoch(self) -> None:
        _copy_weights(self._trained, self._model)
        self._logs = {"loss": self._loss_sum / self._steps_in_epoch, "learning_rate": self._learning_rate}
        if self._validate is not None:
            self._logs.update(self._validate())
        self._call(self._callbacks.on_epoch_end, self._epoch, self._logs)
        self._epoch += 1
        self._loss_sum, self._steps_in_epoch = 0.0, 0

    def _call(self, hook: Callable[..., None], *arguments: Any) -> None:
        hook(*arguments)
        _copy_weights(self._model, self._trained)


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    for weight, other in zip(source.weights, target.weights, strict=True):
        other.value.assign(weight.value)
