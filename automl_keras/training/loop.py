"""The training loop: augmented epochs in memory, several steps in each call into TensorFlow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import CLASSIFICATION, Images, Task, images_at_once
from automl_keras.training.augmentation import Augmenter
from automl_keras.training.callbacks import EpochCallbacks
from automl_keras.training.curve import CurvePoint, CurveRecorder
from automl_keras.training.fused import fused_twin
from automl_keras.training.own_augmentation import OwnAugmenter
from automl_keras.training.recipe import make_augmenter, make_optimizer, peak_learning_rate
from automl_keras.training.schedule import Limit, Progress, one_cycle

BATCH_SIZE = 128
MAX_STEPS_PER_CALL = 16
SECONDS_PER_CALL = 0.4  # short enough to end on time and to answer Ctrl-C at once
CHECKPOINT_SECONDS = 15.0
KD_TEMPERATURE = 2.0
KD_WEIGHT = 0.7

EPOCH_BYTES = 1 << 28  # an epoch larger than this is made in blocks
BLOCK_BYTES = 1 << 26

RunSteps = Callable[..., tf.Tensor]


@dataclass(frozen=True)
class TrainingLog:
    """What a training did.

    Attributes:
        steps: Optimizer steps made.
        epochs: Passes over the data, with fractions.
        seconds: Wall-clock time, tracing included.
        loss: Mean loss of the last call.
        images_per_second: Median rate over the calls after the first, 0.0 if there was one call.
        setup_seconds: What tracing and the first call took.
        curve: Loss and learning rate on the way.
    """

    steps: int
    epochs: float
    seconds: float
    loss: float
    images_per_second: float
    setup_seconds: float = 0.0
    curve: tuple[CurvePoint, ...] = ()


class TrainingLoop:
    """Feeds augmented epochs to a compiled multi-step function under a one-cycle schedule.

    Args:
        recipe: Peak learning rate and augmentation.
        run_steps: `run_steps(images, codes, weights, start, rates)` makes one optimizer step with each of
            the learning rates, on consecutive batches of the given examples from batch `start` on, and
            returns the mean loss.
        batch_size: Images in a step; at most the number of images.
        seed: Seeds order and augmentation of every epoch.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        run_steps: RunSteps,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self.recipe = recipe
        self.run_steps = run_steps
        self.batch_size = batch_size
        self.seed = seed

    def run(
        self,
        images: Images,
        codes: np.ndarray,
        limit: Limit,
        *,
        sample_weight: np.ndarray | None = None,
        learning_rate_scale: float = 1.0,
        on_progress: Callable[[float], None] | None = None,
        interval: int | None = None,
        on_interval: Callable[[int], None] | None = None,
        curve: CurveRecorder | None = None,
        callbacks: EpochCallbacks | None = None,
    ) -> TrainingLog:
        """Train until the limit.

        Args:
            images: (n, height, width, channels), raw pixels.
            codes: The targets, (n,) class indices or (n, outputs).
            limit: When to end.
            sample_weight: (n,), how much each image counts, 1 on average; `None` if all count the same.
            learning_rate_scale: Factor on the recipe's peak learning rate.
            on_progress: Called after each call with the progress in [0, 1].
            interval: Number of steps after which, again and again, `on_interval` is called.
            on_interval: Called with the number of intervals so far, before any step of the next one.
            curve: Records the training; `None` for a new one.
            callbacks: Called at the beginning and the end of epochs; they may end the training before its limit.
        """
        start = time.monotonic()
        progress = Progress(limit)
        augmenter = make_augmenter(self.recipe, images, self.seed)
        peak = peak_learning_rate(self.recipe) * learning_rate_scale
        weights = np.ones(len(images), np.float32) if sample_weight is None else sample_weight
        total = limit.steps if limit.steps is not None else np.inf
        step, loss, step_seconds, setup_seconds = 0, float("nan"), 0.0, 0.0
        speeds: list[float] = []
        curve = CurveRecorder() if curve is None else curve
        steps_per_epoch, stopped = len(images) // self.batch_size, False
        blocks = self._blocks(augmenter, images, codes, weights)
        while not stopped and progress.at(step) < 1.0:
            data, steps_in_block = next(blocks)
            position = 0
            while position < steps_in_block and not stopped and progress.at(step) < 1.0:
                if callbacks is not None:
                    callbacks.before_steps()
                count = int(min(self._steps_per_call(step_seconds), steps_in_block - position, total - step))
                if interval is not None:
                    count = min(count, interval - step % interval)
                middles = np.arange(count) + 0.5
                now = [min(1.0, progress.at(step + middle, ahead=step_seconds * middle)) for middle in middles]
                rates = [peak * one_cycle(value) for value in now]
                call_start = time.monotonic()
                loss = float(self.run_steps(*data, tf.constant(position), tf.constant(rates, tf.float32)))
                if step == 0:  # whatever is set up in the first call is no part of the schedule
                    progress.begin()
                    setup_seconds = time.monotonic() - start
                else:
                    step_seconds = (time.monotonic() - call_start) / count
                    speeds.append(self.batch_size / step_seconds)
                position += count
                step += count
                point = CurvePoint(step, step / steps_per_epoch, time.monotonic() - start, loss, rates[-1])
                curve.add(point)
                if callbacks is not None:
                    stopped = callbacks.after_steps(point)
                if on_progress is not None:
                    on_progress(min(1.0, progress.at(step)))
                if interval is not None and on_interval is not None and step % interval == 0:
                    on_interval(step // interval)
        return TrainingLog(
            steps=step,
            epochs=step / steps_per_epoch,
            seconds=time.monotonic() - start,
            loss=loss,
            images_per_second=float(np.median(speeds)) if speeds else 0.0,
            setup_seconds=setup_seconds,
            curve=curve.points,
        )

    def _blocks(
        self, augmenter: Augmenter | OwnAugmenter, images: Images, codes: np.ndarray, weights: np.ndarray
    ) -> Iterator[tuple[tuple[tf.Tensor, ...], int]]:
        """Epoch after epoch, images with codes and weights, and the number of batches in them.

        A block is an epoch unless that is too large for memory.
        """
        image_bytes = images[:1].nbytes
        block_size = len(images)
        if block_size * image_bytes > EPOCH_BYTES:
            block_size = max(1, BLOCK_BYTES // (image_bytes * self.batch_size)) * self.batch_size
        for epoch in itertools.count():
            for block, order in augmenter.blocks(epoch, block_size):
                if len(block) >= self.batch_size:
                    examples = tf.constant(block), tf.constant(codes[order]), tf.constant(weights[order])
                    yield examples, len(block) // self.batch_size

    @staticmethod
    def _steps_per_call(step_seconds: float) -> int:
        if step_seconds == 0.0:
            return 1
        return int(np.clip(SECONDS_PER_CALL / step_seconds, 1, MAX_STEPS_PER_CALL))


def train_network(
    model: keras.Model,
    images: Images,
    codes: np.ndarray,
    recipe: Mapping[str, Any],
    limit: Limit,
    *,
    sample_weight: np.ndarray | None = None,
    teacher: keras.Model | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
    on_checkpoint: Callable[[float, list[np.ndarray]], None] | None = None,
    curve: CurveRecorder | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    validate: Callable[[], Mapping[str, float]] | None = None,
    task: Task = CLASSIFICATION,
) -> TrainingLog:
    """Train a network of logits, or of standardised values, in place.

    Args:
        model: Raw pixels to the outputs of the task.
        images: (n, height, width, channels), raw pixels.
        codes: The targets of the task, such as (n,) class indices.
        recipe: Optimizer, learning rate and augmentation.
        limit: When to end.
        sample_weight: (n,), how much each image counts, 1 on average; `None` if all count the same.
        teacher: A trained network of such outputs to learn from as well (Hinton et al., 2015, section 2:
            temperature 2, weight 0.7, gradients scaled by the temperature squared).
        batch_size: Images in a step. Unless given 128, fewer of images larger than 112x112; at most all images.
        seed: Seeds order and augmentation.
        on_progress: Called now and then with the progress in [0, 1].
        on_checkpoint: Called every 15 seconds with the progress and the weights of `model` so far.
        curve: Records the training, also one that is interrupted.
        callbacks: Called as `EpochCallbacks` says; after an interrupt or an error they are not called any more.
        validate: Called for them at the end of each epoch, when `model` has the weights so far: more logs by name.
        task: What is learnt from the targets.
    """
    start = time.monotonic()
    if batch_size is None:  # features, which have no height and width, are small
        batch_size = images_at_once(BATCH_SIZE, images.shape[1:]) if len(images.shape) == 4 else BATCH_SIZE
    batch_size = min(batch_size, len(images))
    twin = fused_twin(model)
    optimizer = make_optimizer(recipe)
    optimizer.build(twin.trainable_variables)
    signature = step_signature(images, codes)
    run_steps = _compile_steps(twin, optimizer, teacher, task, batch_size, signature)
    loop = TrainingLoop(recipe, run_steps, batch_size=batch_size, seed=seed)
    checkpointed = traced = time.monotonic()
    watching = None
    if callbacks:
        steps = len(images) // batch_size
        epochs = None if limit.steps is None else -(-limit.steps // steps)
        watching = EpochCallbacks(callbacks, model, twin, steps_per_epoch=steps, epochs=epochs, validate=validate)

    def report(progress: float) -> None:
        nonlocal checkpointed
        if on_progress is not None:
            on_progress(progress)
        if on_checkpoint is not None and time.monotonic() - checkpointed >= CHECKPOINT_SECONDS:
            on_checkpoint(progress, twin.get_weights())
            checkpointed = time.monotonic()

    try:
        if watching is not None:
            watching.begin()
        log = loop.run(
            images, codes, limit, sample_weight=sample_weight, on_progress=report, curve=curve, callbacks=watching
        )
        if watching is not None:
            watching.end()
        return replace(log, setup_seconds=log.setup_seconds + traced - start)
    finally:  # what an interrupted training has learnt is kept too
        model.set_weights(twin.get_weights())


def _compile_steps(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    teacher: keras.Model | None,
    task: Task,
    batch_size: int,
    signature: tuple[tf.TensorSpec, ...],
) -> RunSteps:
    variables = model.trainable_variables

    @tf.function
    def run_steps(
        images: tf.Tensor, codes: tf.Tensor, weights: tf.Tensor, start: tf.Tensor, rates: tf.Tensor
    ) -> tf.Tensor:
        total = tf.constant(0.0)
        for index in tf.range(tf.size(rates)):
            batch, targets, weight = batch_at(images, codes, weights, start + index, batch_size)
            optimizer.learning_rate.assign(rates[index])
            with tf.GradientTape() as tape:
                outputs = tf.cast(model(batch, training=True), tf.float32)
                loss = weighted_loss(task, outputs, targets, weight)
                if teacher is not None:
                    wanted = tf.cast(teacher(batch, training=False), tf.float32)
                    loss = (1.0 - KD_WEIGHT) * loss + KD_WEIGHT * distillation_loss(task, outputs, wanted, weight)
            optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
        return total / tf.cast(tf.size(rates), tf.float32)

    return run_steps.get_concrete_function(*signature)


def step_signature(images: Images, codes: np.ndarray) -> tuple[tf.TensorSpec, ...]:
    """What `RunSteps` takes: any number of such examples, a position in them, any number of learning rates."""
    return (
        tf.TensorSpec((None, *images.shape[1:]), images.dtype),
        tf.TensorSpec((None, *codes.shape[1:]), codes.dtype),
        tf.TensorSpec((None,), tf.float32),
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((None,), tf.float32),
    )


def batch_at(
    images: tf.Tensor,
    codes: tf.Tensor,
    weights: tf.Tensor,
    step: tf.Tensor,
    batch_size: int,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The batch number `step`: float32 pixels, targets and weights, of static shape."""
    part = slice(step * batch_size, (step + 1) * batch_size)
    batch, targets, weight = (
        tf.ensure_shape(values[part], (batch_size, *values.shape[1:])) for values in (images, codes, weights)
    )
    return tf.cast(batch, tf.float32), targets, weight


def weighted_loss(task: Task, outputs: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """The loss of a task, each example times its weight, averaged over the batch."""
    return tf.reduce_mean(weight * task.losses(outputs, targets))


def distillation_loss(task: Task, outputs: tf.Tensor, taught: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Weighted loss with the teacher's softened outputs as targets, scaled by the temperature squared."""
    losses = task.soft_losses(outputs / KD_TEMPERATURE, task.activated(taught / KD_TEMPERATURE))
    return KD_TEMPERATURE**2 * tf.reduce_mean(weight * losses)
