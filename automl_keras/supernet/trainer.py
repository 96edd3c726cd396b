"""Training the shared weights: paths from a sampler, gradients summed, untaken branches left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from automl_keras.data import Images
from automl_keras.supernet.samplers import Sampler
from automl_keras.supernet.supernet import Supernet
from automl_keras.training import (
    BATCH_SIZE,
    Limit,
    TrainingLog,
    TrainingLoop,
    batch_at,
    cross_entropy,
    distillation_loss,
    make_optimizer,
    step_signature,
)


@dataclass(frozen=True)
class Round:
    """One round of supernet training: who draws the paths, and for how long.

    Attributes:
        sampler: A key of `SAMPLERS`.
        epochs: Passes over the data, or `None`.
        seconds: Wall-clock time, or `None`. The first of both limits ends the round.
        learning_rate_scale: Factor on the recipe's peak learning rate.
    """

    sampler: str
    epochs: float | None = None
    seconds: float | None = None
    learning_rate_scale: float = 1.0

    def limit(self, num_images: int, batch_size: int) -> Limit:
        """The limit of a round that begins now."""
        steps_per_epoch = max(1, num_images // min(batch_size, num_images))
        return Limit(
            steps=None if self.epochs is None else max(1, round(self.epochs * steps_per_epoch)),
            deadline=None if self.seconds is None else time.monotonic() + self.seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form."""
        return asdict(self)


class SupernetTrainer:
    """Trains a supernet in rounds; one traced graph serves every sampler.

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
        self._active: tf.Tensor | None = None
        self._group_of: dict[Any, int] = {}
        groups = list(supernet.groups().values())
        self._num_groups = len(groups)
        for index, group in enumerate(groups):
            for variable in group:
                self._group_of[variable.value.ref()] = index
        self._optimizer = make_optimizer(recipe, gate=self._gate)
        self._optimizer.build(self._variables)
        self._functions: dict[Any, Callable[..., tf.Tensor]] = {}

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
        on_progress: Callable[[float], None] | None = None,
    ) -> TrainingLog:
        """Train under a one-cycle schedule from start to limit.

        Args:
            images: (n, height, width, channels), raw pixels.
            codes: (n,) class indices.
            sampler: Draws the paths of every step.
            limit: When to end.
            sample_weight: (n,), how much each image counts, 1 on average; `None` if all count the same.
            learning_rate_scale: Factor on the recipe's peak learning rate.
            round_index: Makes order and augmentation differ from those of other rounds.
            on_progress: Called now and then with the progress in [0, 1].
        """
        batch_size = min(self.batch_size, len(images))
        key = (batch_size, images.shape[1:], images.dtype)
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
        )

    def _gate(self, variable: tf.Variable) -> tf.Tensor | None:
        group = self._group_of.get(variable.ref())
        if group is None or self._active is None:
            return None
        return self._active[group]

    def _compile(
        self, batch_size: int, image_shape: tuple[int, ...], pixel_dtype: np.dtype
    ) -> Callable[..., tf.Tensor]:
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
                batch, targets, weight = batch_at(images, codes, weights, start + index, batch_size, image_shape)
                self._optimizer.learning_rate.assign(rates[index])
                gradients, loss = self.gradients(batch, targets, weight, paths[index], distill)
                self._apply(gradients, taken[index])
                total += loss
            return total / tf.cast(tf.size(rates), tf.float32)

        return run_steps.get_concrete_function(
            *step_signature(image_shape, pixel_dtype),
            tf.TensorSpec((None, None, len(self.supernet.space.decisions)), tf.int32),
            tf.TensorSpec((None, self._num_groups), tf.bool),
            tf.TensorSpec((), tf.bool),
        )

    @tf.autograph.experimental.do_not_convert
    def _apply(self, gradients: list[tf.Tensor], taken: tf.Tensor) -> None:
        self._active = taken  # what `_gate` reads while the update below is traced
        self._optimizer.apply(gradients, self._variables)
        self._active = None

    def gradients(
        self, batch: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor, paths: tf.Tensor, distill: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The sum of all paths' gradients, and the loss of the first path.

        Args:
            batch: (n, height, width, channels), float32 pixels.
            targets: (n,) class indices.
            weight: (n,), how much each image counts.
            paths: (paths, decisions), encoded architectures.
            distill: Whether the first path alone learns from the labels and the others from its outputs.
        """
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
                hard = cross_entropy(logits, targets, weight)
                loss = tf.where(distill & (place > 0), distillation_loss(logits, wanted, weight), hard)
            gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
            if place == 0:
                wanted, first_loss = tf.stop_gradient(logits), hard
        return sums, first_loss
