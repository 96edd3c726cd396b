"""Keras callbacks in the training loop. One dense layer is trained, so that there is hardly anything to trace."""

import warnings
from typing import Any

import keras
import numpy as np
import pytest

from automl_keras.errors import AutoMLError, InvalidArgumentError, InvalidTypeError
from automl_keras.training import Limit, TrainingLog, check_callbacks, recipe_space, train_network

RNG = np.random.default_rng(0)
IMAGES, CODES = RNG.integers(0, 256, (24, 4, 4, 1), dtype=np.uint8), RNG.integers(0, 2, 24).astype(np.int32)
STEPS_PER_EPOCH = 3


def network() -> keras.Model:
    image = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(2, kernel_initializer="zeros")(flat))


def train(model: keras.Model, *callbacks: keras.callbacks.Callback, steps: int = 7, **settings: Any) -> TrainingLog:
    return train_network(
        model,
        IMAGES,
        CODES,
        recipe_space().default(),
        Limit(steps=steps),
        batch_size=len(IMAGES) // STEPS_PER_EPOCH,
        callbacks=callbacks,
        **settings,
    )


class Listener(keras.callbacks.Callback):
    """Notes what it is told and what the weights are then."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.logs: list[dict[str, float]] = []
        self.weights: list[np.ndarray] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.told.append("begin")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.told.append(f"epoch {epoch}")
        self.weights.append(self.model.get_weights()[0])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.told.append(f"end of epoch {epoch}")
        self.logs.append(dict(logs))
        self.weights.append(self.model.get_weights()[0])

    def on_train_end(self, logs: Any = None) -> None:
        self.told.append("end")
        self.logs.append(dict(logs))


def test_hooks_come_in_their_order_with_logs_and_weights_of_the_moment() -> None:
    listener, model, alone = Listener(), network(), network()
    log = train(model, listener, validate=lambda: {"val_sum": float(model.get_weights()[0].sum())})
    epochs = [told for epoch in range(3) for told in (f"epoch {epoch}", f"end of epoch {epoch}")]
    assert listener.told == ["begin", *epochs, "end"]
    assert listener.params == {"epochs": 3, "steps": STEPS_PER_EPOCH, "verbose": 0}
    ends = [3, 6, 7]
    points = {point.step: point for point in log.curve}
    for epoch, (begin, end) in enumerate(zip([0, 3, 6], ends, strict=True)):
        inside = [point for point in log.curve if begin < point.step <= end]
        steps = np.diff([begin, *(point.step for point in inside)])
        assert listener.logs[epoch]["loss"] == pytest.approx(np.average([p.loss for p in inside], weights=steps))
        assert listener.logs[epoch]["learning_rate"] == points[end].learning_rate
        assert listener.logs[epoch]["val_sum"] == float(listener.weights[2 * epoch + 1].sum())
    assert listener.logs[3] == listener.logs[2]
    assert not listener.weights[0].any() and listener.weights[1].any()
    assert np.array_equal(listener.weights[1], listener.weights[2])
    assert np.array_equal(listener.weights[-1], model.get_weights()[0])
    train(alone)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), alone.get_weights(), strict=True))


def test_a_callback_ends_a_training_at_the_end_of_an_epoch() -> None:
    listener, model = Listener(), network()
    never_better = keras.callbacks.EarlyStopping("loss", patience=2, min_delta=1e9, restore_best_weights=True)
    log = train(model, never_better, listener, steps=60)
    assert log.steps == 3 * STEPS_PER_EPOCH
    assert listener.told[-2:] == ["end of epoch 2", "end"]
    assert np.array_equal(model.get_weights()[0], listener.weights[1])  # those of the first epoch


def test_what_a_callback_does_to_the_weights_counts() -> None:
    def reset(epoch: int, logs: Any) -> None:
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])

    listener, model = Listener(), network()
    train(model, keras.callbacks.LambdaCallback(on_epoch_end=reset), listener, steps=6)
    assert not any(weights.any() for weights in listener.weights)
    assert not model.get_weights()[0].any()


def test_an_error_in_a_callback_comes_through() -> None:
    def fail(epoch: int, logs: Any) -> None:
        raise RuntimeError("planted")

    listener, model = Listener(), network()
    with pytest.raises(RuntimeError, match="planted"):
        train(model, listener, keras.callbacks.LambdaCallback(on_epoch_end=fail))
    assert listener.told == ["begin", "epoch 0", "end of epoch 0"]
    assert np.array_equal(model.get_weights()[0], listener.weights[-1])


def test_keras_own_callbacks_work(tmp_path: Any) -> None:
    files = tmp_path / "{epoch}.keras"
    model, history = network(), keras.callbacks.History()
    train(
        model,
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ModelCheckpoint(files),
        keras.callbacks.TensorBoard(tmp_path / "board"),
        history,
        steps=6,
    )
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    assert list(history.history) == ["learning_rate", "loss"] and history.epoch == [0, 1]
    saved = keras.models.load_model(tmp_path / "2.keras")
    assert np.array_equal(saved.get_weights()[0], model.get_weights()[0])
    assert list((tmp_path / "board").rglob("*events*"))


class BatchOnly(keras.callbacks.Callback):
    def on_batch_end(self, batch: int, logs: Any = None) -> None: ...


class NotCopied(keras.callbacks.Callback):
    def __deepcopy__(self, memo: Any) -> None:
        raise TypeError("not this one")


@pytest.mark.parametrize(
    ("callbacks", "error", "message"),
    [
        (keras.callbacks.History(), InvalidTypeError, "list of `keras.callbacks.Callback`.*History"),
        ([keras.callbacks.History(), print], InvalidTypeError, "print"),
        ("history", InvalidTypeError, "'history'"),
        ([keras.callbacks.ReduceLROnPlateau()], InvalidArgumentError, "learning rate follows.*ReduceLROnPlateau"),
        ([keras.callbacks.LearningRateScheduler(float)], InvalidArgumentError, "LearningRateScheduler"),
        ([BatchOnly()], InvalidArgumentError, "Hooks of batches.*BatchOnly that has only on_batch_end"),
        ([keras.callbacks.TerminateOnNaN()], InvalidArgumentError, "TerminateOnNaN"),
        ([NotCopied()], InvalidArgumentError, "deepcopy.*not this one"),
    ],
)
def test_what_could_not_work_is_refused(callbacks: Any, error: type[AutoMLError], message: str) -> None:
    with pytest.raises(error, match=message):
        check_callbacks(callbacks)


def test_hooks_that_are_not_called_are_told() -> None:
    quiet = [keras.callbacks.EarlyStopping("loss"), keras.callbacks.ModelCheckpoint("m.keras"), Listener()]
    quiet += [keras.callbacks.TensorBoard("logs"), keras.callbacks.LambdaCallback(on_epoch_end=print)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_callbacks(quiet) == tuple(quiet)
        assert check_callbacks(None) == ()
    for callback in (
        keras.callbacks.ModelCheckpoint("m.keras", save_freq=10),
        keras.callbacks.LambdaCallback(on_epoch_end=print, on_train_batch_end=print),
    ):
        with pytest.warns(UserWarning, match=f"{type(callback).__name__} has on_train_batch_end"):
            check_callbacks([callback])
