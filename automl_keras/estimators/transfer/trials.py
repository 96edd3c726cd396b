"""`TransferTrials`: heads trained on features that are computed once, and fine-tunings that begin with them."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import Dataset, Images
from automl_keras.estimators.transfer.costs import BackboneNetworks
from automl_keras.estimators.transfer.network import TransferNetwork, head_alone
from automl_keras.estimators.validating import make_validation
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture
from automl_keras.training import Limit, TrainingLog, predict, recipe_space, train_network
from automl_keras.training.recipe import PEAK_LEARNING_RATE

FEATURE_BATCH = 50
ORDER_STREAM = 401  # keeps the generator apart from others made from the same seed
HEAD_EPOCHS, HEAD_STEPS = 30, 300
PLAIN = Architecture({**recipe_space().default(), "optimizer": "adamw", "flip": False, "cutout": 0.0})


class TransferTrials:
    """Evaluates networks on a backbone: first the head on the frozen backbone, then, if asked for, both together.

    Fine-tuning from an untrained head distorts the features; from a head that fits them it does not (LP-FT: Kumar et
    al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022, section 3,
    arXiv:2202.10054). The two steps and the low learning rate of the second are also those of Keras's guide to transfer
    learning. Here the first step trains on features that are computed once, of images that are not augmented.

    Args:
        networks: The networks.
        train: Images to learn from, with weights of the loss.
        validation: Images to compare networks on.
        batch_size: Images in a step.
        seed: Of weights, order and augmentation.
        on_progress: Told the progress of each training, in [0, 1].
        on_fine_tuned: Told what was done in each fine-tuning.
        callbacks: Copies of them are called in each fine-tuning.
    """

    def __init__(
        self,
        networks: BackboneNetworks,
        train: Dataset,
        validation: Dataset,
        *,
        batch_size: int,
        seed: int,
        on_progress: Callable[[float], None],
        on_fine_tuned: Callable[[TrainingLog], None],
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self.networks = networks
        self.task = networks.info.task
        self.train = train
        self.validation = validation
        self.batch_size = batch_size
        self.seed = seed
        self.on_progress = on_progress
        self.on_fine_tuned = on_fine_tuned
        self.callbacks = tuple(callbacks)
        self.validation_seconds = 0.0
        self._heads: dict[Architecture, tuple[keras.Model, dict[str, float]]] = {}

    def compute_features(self, seconds: float | None) -> None:
        """Look at the images through the frozen backbone: at all of them, or at as many as the time allows.

        Args:
            seconds: A quarter of them is for the validation images, the only ones that networks are compared on then.
        """
        start = time.monotonic()
        model = self.networks.network.features
        parts = []
        for number, (data, share) in enumerate(((self.validation, 0.25), (self.train, 1.0))):
            order = np.random.default_rng((self.seed, ORDER_STREAM, number)).permutation(data.num_examples)
            until = None if seconds is None else start + share * seconds
            features = _features(model, data.images, order, self.on_progress, until)
            parts.append((features, order[: len(features)]))
            if data is self.validation:
                self.validation_seconds = time.monotonic() - start
        (self._val_features, validated), (self._features, self._seen) = parts
        self.validation = self.validation.take(validated)

    def evaluate(
        self, architecture: Architecture, limit: Limit, recipe: Mapping[str, Any] = PLAIN
    ) -> tuple[Evaluation, Callable[[], keras.Model]]:
        """Train a network and measure how good it is on the validation images.

        Args:
            architecture: Of the backbone's space.
            limit: Of the fine-tuning, if there is one.
            recipe: Its augmentation.

        Returns:
            The evaluation, and what gives the network, raw pixels to outputs: to build a large one takes seconds.
        """
        start = time.monotonic()
        trained, metrics = self._head(architecture, limit.deadline)

        def build() -> TransferNetwork:
            network = self.networks.transfer_network(architecture, seed=self.seed)
            network.take_head(trained)
            return network

        model = None
        if architecture["unfrozen"]:
            network = build()
            network.unfreeze(float(architecture["unfrozen"]))
            model = network.model
            scale = float(architecture["learning_rate"]) / PEAK_LEARNING_RATE["adamw"]
            log = train_network(
                model,
                self.train.images,
                self.train.codes,
                {**recipe, "learning_rate_scale": scale},
                limit,
                sample_weight=self.train.sample_weight,
                batch_size=self.batch_size,
                seed=self.seed,
                on_progress=self.on_progress,
                callbacks=copy.deepcopy(self.callbacks),
                validate=make_validation(network.model, self.task, self.validation) if self.callbacks else None,
                task=self.task,
            )
            self.on_fine_tuned(log)
            metrics = self._metrics(model, self.validation.images)
        evaluation = Evaluation(
            architecture,
            metrics,
            self.networks.cost(architecture),
            "standalone",
            seconds=time.monotonic() - start,
        )
        return evaluation, lambda: build().model if model is None else model

    def _head(self, architecture: Architecture, deadline: float | None) -> tuple[keras.Model, dict[str, float]]:
        """The head of an architecture, trained once on the frozen backbone's features, and how good it is."""
        key = Architecture({name: architecture[name] for name in ("head_units", "dropout")})
        if key not in self._heads:
            trained = head_alone(self._features.shape[-1], architecture, self.networks.info.num_outputs, seed=self.seed)
            per_epoch = max(1, len(self._features) // self.batch_size)
            train_network(
                trained,
                self._features,
                self.train.codes[self._seen],
                PLAIN,
                Limit(steps=max(HEAD_STEPS, HEAD_EPOCHS * per_epoch), deadline=deadline),
                sample_weight=None if self.train.sample_weight is None else self.train.sample_weight[self._seen],
                batch_size=self.batch_size,
                seed=self.seed,
                task=self.task,
            )
            self._heads[key] = trained, self._metrics(trained, self._val_features)
        return self._heads[key]

    def _metrics(self, model: keras.Model, images: Images) -> dict[str, float]:
        """The score and the loss on the validation images, or on their features."""
        outputs, targets, weight = predict(model, images), self.validation.codes, self.validation.sample_weight
        losses = self.task.losses(tf.constant(outputs), tf.constant(targets))
        return {
            f"val_{self.task.metric}": self.task.score(outputs, targets, weight),
            "val_loss": float(np.average(losses, weights=weight)),
        }


def _features(
    model: keras.Model,
    images: Images,
    order: np.ndarray,
    on_progress: Callable[[float], None],
    until: float | None,
) -> np.ndarray:
    """The features of images, (n, 1, 1, channels), in an order; of fewer images if the time is over before."""
    run = tf.function(lambda batch: model(batch, training=False)).get_concrete_function(
        tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    )
    blocks: list[np.ndarray] = []
    for start in range(0, len(order), FEATURE_BATCH):
        if blocks and until is not None and time.monotonic() >= until:
            break
        blocks.append(run(tf.constant(images[order[start : start + FEATURE_BATCH]], tf.float32)).numpy())
        on_progress(min(1.0, (start + FEATURE_BATCH) / len(order)))
    return np.concatenate(blocks)[:, np.newaxis, np.newaxis, :].astype(np.float32)
