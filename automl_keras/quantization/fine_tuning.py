"""`fine_tune`: training that knows of the rounding (quantization-aware training), with the float network as teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from automl_keras.data import Images
from automl_keras.errors import InvalidArgumentError, InvalidDataError
from automl_keras.quantization.fake_quant import FakeQuantModel
from automl_keras.quantization.graph import without_softmax
from automl_keras.training import Limit, TrainingLog, train_network
from automl_keras.training.recipe import OWN_AUGMENTATION, PEAK_LEARNING_RATE

LEARNING_RATE = 1e-3
PLAIN: Mapping[str, Any] = {"flip": False, "cutout": 0.0}


def fine_tune(
    fake_quant: FakeQuantModel,
    policy: Mapping[str, Any],
    images: Images,
    codes: np.ndarray,
    limit: Limit,
    *,
    teacher: keras.Model,
    seed: int,
    augmentation: Mapping[str, Any] = PLAIN,
    learning_rate: float = LEARNING_RATE,
    batch_size: int | None = None,
    sample_weight: np.ndarray | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> TrainingLog:
    """Train a network in place to be right with the rounded weights and activations of a policy.

    The forward pass rounds, the gradient passes straight through (Jacob et al., CVPR 2018, section 3). The loss
    mixes the labels with the softened outputs of the float network (see `train_network`), which makes up for most
    of what few bits lose (Mishra and Marr, ICLR 2018, section 3). AdamW, one cycle of the learning rate.

    The limits of the activations stay what they were. A file of the trained network is calibrated anew, with its
    new weights: `fake_quant.calibrate(..., policy=policy)` with the images and the seed of that file then gives the
    model the file's limits. The file is made from `fake_quant.hardened()`.

    Args:
        fake_quant: Calibrated. It has the policy and the new weights afterwards, also if it is interrupted.
        policy: See `FakeQuantModel.set_policy`.
        images: Shape `(n, height, width, channels)`, in the user's units.
        codes: The right classes, integers of shape `(n,)`.
        limit: When to end; a number of steps alone makes it repeatable.
        teacher: The float network; images to logits, or to probabilities by a softmax at its end.
        seed: Seeds order and augmentation.
        augmentation: The keys `flip` and `cutout` of a recipe; neither by default. Crops are as in every training.
            One that has the user's own augmentation has that in place of all.
        learning_rate: Highest one of the cycle.
        batch_size: Images in a step; 128 unless given, at most n.
        sample_weight: How much each image counts, 1 on average, shape `(n,)`; `None` if all count the same.
        on_progress: Called now and then with the progress in [0, 1].

    Raises:
        InvalidArchitectureError: If the policy does not fit.
        InvalidArgumentError: If `fake_quant` is not calibrated, or the learning rate is not positive.
        InvalidDataError: If there are no images, or not one class for each.
    """
    if len(images) == 0 or len(images) != len(codes):
        raise InvalidDataError(
            f"`images` and `codes` must be of one length, at least 1. Received: lengths={(len(images), len(codes))}"
        )
    if not learning_rate > 0:
        raise InvalidArgumentError(f"`learning_rate` must be positive. Received: learning_rate={learning_rate}")
    if not fake_quant.calibrated:
        raise InvalidArgumentError("`fake_quant` must be calibrated. Received: calibrated=False")
    fake_quant.set_policy(policy)
    recipe = {
        **{key: augmentation[key] for key in (*PLAIN, OWN_AUGMENTATION) if key in augmentation},
        "optimizer": "adamw",
        "learning_rate_scale": learning_rate / PEAK_LEARNING_RATE["adamw"],
    }
    return train_network(
        fake_quant.model,
        images,
        codes,
        recipe,
        limit,
        sample_weight=sample_weight,
        teacher=without_softmax(teacher),
        batch_size=batch_size,
        seed=seed,
        on_progress=on_progress,
    )
