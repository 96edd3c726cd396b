"""Training the shared weights: paths from a sampler, gradients summed, untaken branches left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import Images
from automl_keras.errors import InvalidArgumentError
from automl_keras.supernet.rounds import Round, prepare_round
from automl_keras.supernet.samplers import Sampler
from automl_keras.supernet.supernet import Supernet
from automl_keras.training import (
    BATCH_SIZE,
    Limit,
    TrainingLog,
    TrainingLoop,
    batch_at,
    distillation_loss,
    make_optimizer,
    step_signature,
    weighted_loss,
)

KD_RATIO = 1.0  # of the teacher's part of the loss


class SupernetTrainer:
    """Trains a supernet in rounds; one traced graph serves every sampler, and one more every round with a teacher.

    Each step runs the sampler's paths on one batch, sums their gradients and makes one update. Blocks
    that no path took keep their weights, momentum and all. Within a shared kernel the part outside
    all slices of a step has no gradient but is still decayed and moved by momentum.

    Args:
        supernet: Trained in place.
        recipe: Optimizer, learning rate and augmentation.
        batch_size: Images in a step.
        seed: Seeds order and augmentation.
    """

    def __init__(
        self, supernet: Supernet, recipe: Mapping[str, Any], *, batch_size: int = BATCH_SIZE, seed: int = 0
    ) -> None:
        self.supernet = supernet
        self.recipe = recipe
        self.batch_size = batch_size
        self.seed = seed
        self._variables = supernet.trainable_variables
        self._active: list[tf.Tensor] | None = None
        self._group_of: dict[Any, int] = {}
        groups = list(supernet.groups().values())
        self._num_groups = len(groups)
        for index, group in enumerate(groups):
            for variable in group:
                self._group_of[variable.value.ref()] = index
        self._optimizer = make_optimizer(recipe, gate=self._gate)
        self._optimizer.build(self._variables)
        self._functions: dict[Any, Callable[..., tf.Tensor]] = {}
        self._evaluations = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def gradient_evaluations(self) -> int:
        """Gradients of one path on one batch computed so far, counted in the graph where each is computed."""
        return int(self._evaluations.numpy())

    def train_round(
        self,
        images: Images,
        codes: np.ndarray,
        planned: Round,
        *,
        number: int,
        previous: Round | None = None,
        teacher: keras.Model | None = None,
        sample_weight: np.ndarray | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> TrainingLog:
        """Prepare the supernet for a round, and train it.

        Args:
            images: (n, height, width, channels), raw pixels.
            codes: The targets of the task, such as (n,) class indices.
            planned: The round.
            number: Makes paths, order and augmentation differ from those of other rounds.
            previous: The round before, `None` for the first.
            teacher: A trained network of outputs of the task, needed and used if the round wants one.
            sample_weight: (n,), how much each image counts, 1 on average; `None` if all count the same.
            on_progress: Called now and then with the progress in [0, 1].

        Raises:
            InvalidArgumentError: If the round wants a teacher and there is none.
        """
        if planned.teacher and teacher is None:
            raise InvalidArgumentError(f"A round with a teacher needs one. Received: teacher=None, planned={planned}")
        sampler = planned.make_sampler(self.supernet.space, seed=self.seed + 7919 * number)
        prepare_round(self.supernet, planned, previous)
        return self.train(
            images,
            codes,
            sampler,
            planned.limit(len(images), self.batch_size, sampler.num_paths),
            sample_weight=sample_weight,
            learning_rate_scale=planned.learning_rate_scale,
            round_index=number,
            teacher=teacher if planned.teacher else None,
            on_progress=on_progress,
        )

    def train(
        self,
        images: Images,
        codes: np.ndarray,
        sampler: Sampler,
        limit: Limit,
        *,
        sample_weight: np.ndarray | None = None,
        learning_rate_scale: float = 1.0,
        round_index: int = 0,
        teacher: keras.Model | None = None,
        on_progress: Callable[[float], None] | None = None,
        interval: int | None = None,
        on_interval: Callable[[int], None] | None = None,
    ) -> TrainingLog:
        """Train under a one-cycle schedule from start to limit.

        Args:
            images: (n, height, width, channels), raw pixels.
            codes: The targets of the task, such as (n,) class indices.
            sampler: Draws the paths of every step.
            limit: When to end.
            sample_weight: (n,), how much each image counts, 1 on average; `None` if all count the same.
            learning_rate_scale: Factor on the recipe's peak learning rate.
            round_index: Makes order and augmentation differ from those of other rounds.
            teacher: A trained network of the same outputs, which stays as it is. To what a path learns from the labels,
                the loss with the teacher's outputs as targets is added (Cai et al., ICLR 2020, section 3.3; there the
                teacher normalises with the statistics of the batch, here with its own).
            on_progress: Called now and then with the progress in [0, 1].
            interval: As in `TrainingLoop.run`: what a sampler learns in between counts from the next interval on.
            on_interval: As in `TrainingLoop.run`.
        """
        batch_size = min(self.batch_size, len(images))
        signature = step_signature(images, codes)
        key = (batch_size, signature, teacher)
        if key not in self._functions:
            self._functions[key] = self._compile(*key)
        compiled = self._functions[key]
        space = self.supernet.space
        done = 0

        def run_steps(
            images: tf.Tensor, codes: tf.Tensor, weights: tf.Tensor, start: tf.Tensor, rates: tf.Tensor
        ) -> tf.Tensor:
            nonlocal done
            count = int(rates.shape[0])
            paths = np.stack([[space.encode(a) for a in sampler.draw(done + step)] for step in range(count)])
            done += count
            arguments = (
                tf.constant(paths),
                tf.constant(self.supernet.taken(paths).any(axis=1)),
                tf.constant(sampler.distill),
            )
            return compiled(images, codes, weights, start, rates, *arguments)

        for variable in self._optimizer.variables:  # a round depends on the weights alone, so it can be repeated
            variable.assign(tf.zeros_like(variable.value))
        loop = TrainingLoop(self.recipe, run_steps, batch_size=batch_size, seed=self.seed + 7919 * round_index)
        return loop.run(
            images,
            codes,
            limit,
            sample_weight=sample_weight,
            learning_rate_scale=learning_rate_scale,
            on_progress=on_progress,
            interval=interval,
            on_interval=on_interval,
        )

    def _gate(self, variable: tf.Variable) -> tf.Tensor | None:
        group = self._group_of.get(variable.ref())
        if group is None or self._active is None:
            return None
        return self._active[group]

    def _compile(
        self, batch_size: int, signature: tuple[tf.TensorSpec, ...], teacher: keras.Model | None
    ) -> Callable[..., tf.Tensor]:
        task = self.supernet.info.task

        @tf.function
        def run_steps(
            images: tf.Tensor,
            codes: tf.Tensor,
            weights: tf.Tensor,
            start: tf.Tensor,
            rates: tf.Tensor,
            paths: tf.Tensor,
            taken: tf.Tensor,
            distill: tf.Tensor,
        ) -> tf.Tensor:
            total = tf.constant(0.0)
            for index in tf.range(tf.size(rates)):
                tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                batch, targets, weight = batch_at(images, codes, weights, start + index, batch_size)
                self._optimizer.learning_rate.assign(rates[index])
                wanted = None if teacher is None else task.activated(teacher(batch, training=False))
                gradients, loss = self.gradients(batch, targets, weight, paths[index], distill, wanted)
                self._apply(gradients, taken[index])
                total += loss
            return total / tf.cast(tf.size(rates), tf.float32)

        return run_steps.get_concrete_function(
            *signature,
            tf.TensorSpec((None, None, len(self.supernet.space.decisions)), tf.int32),
            tf.TensorSpec((None, self._num_groups), tf.bool),
            tf.TensorSpec((), tf.bool),
        )

    @tf.autograph.experimental.do_not_convert
    def _apply(self, gradients: list[tf.Tensor], taken: tf.Tensor) -> None:
        self._active = tf.unstack(taken)  # what `_gate` reads while the update below is traced
        self._optimizer.apply(gradients, self._variables)
        self._active = None

    def gradients(
        self,
        batch: tf.Tensor,
        targets: tf.Tensor,
        weight: tf.Tensor,
        paths: tf.Tensor,
        distill: tf.Tensor,
        taught: tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The sum of all paths' gradients, and the loss of the first path.

        Args:
            batch: (n, height, width, channels), float32 pixels.
            targets: Those of the task, such as (n,) class indices.
            weight: (n,), how much each image counts.
            paths: (paths, decisions), encoded architectures.
            distill: Whether the first path alone learns from the labels and the others from its outputs.
            taught: (n, classes), a teacher's activated outputs, if who learns from the labels learns from it, too.
        """
        task = self.supernet.info.task
        wanted = tf.zeros((len(targets), self.supernet.space.num_classes))
        first_loss = tf.constant(0.0)
        weights = [variable.value for variable in self._variables]
        sums = [tf.zeros_like(weight) for weight in weights]
        for place in tf.range(tf.shape(paths)[0]):
            # One path after the other: oneDNN's BatchNorm kernel keeps its width in a member, and two
            # iterations of different widths in it at once corrupt the heap (TensorFlow 2.21).
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            with tf.GradientTape() as tape:
                logits = self.supernet.forward(batch, paths[place], "train")
                hard = weighted_loss(task, logits, targets, weight)
                if taught is not None:
                    hard += KD_RATIO * tf.reduce_mean(weight * task.soft_losses(logits, taught))
                loss = tf.where(distill & (place > 0), distillation_loss(task, logits, wanted, weight), hard)
            gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            self._evaluations.assign_add(1)
            sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
            if place == 0:
                wanted, first_loss = tf.stop_gradient(logits), hard
        return sums, first_loss
