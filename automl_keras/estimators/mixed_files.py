"""Files of mixed precision for a finished network: bits searched under the budget, weights tuned for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.evaluation import Budget, Cost
from automl_keras.quantization import MixedPrecision
from automl_keras.quantization.bit_space import DEFAULT_PROFILE, Bits
from automl_keras.quantization.profiles import get_profile
from automl_keras.reporting import ProgressReporter
from automl_keras.search_space import Architecture
from automl_keras.training import Limit

SEARCH_IMAGES = 1000
UNTUNED = 2  # policies whose files are measured before weights are tuned for the best one
TUNING_SHARE = 0.15  # of the final training
TUNING_SECONDS = 6.0  # at least, where the time allows it
MAX_TUNING_SHARE = 0.4
CONVERSION_MARGIN = 1.5  # the tuned network is converted like the one before, and checked
SEARCHED = ("CONV_2D", "FULLY_CONNECTED")  # depthwise kernels have few weights
PREFIX, STAGE_SUFFIX = "bits:", "_bits"


@dataclass(frozen=True)
class MixedFile:
    """A file of mixed precision.

    Attributes:
        policy: Layer to bits.
        model: The Keras model whose file it is, raw pixels to logits.
        data: The file.
        bit_ops: Of one image.
    """

    policy: Architecture
    model: keras.Model
    data: bytes
    bit_ops: int


def with_bits(architecture: Mapping[str, Any], policy: Mapping[str, Any]) -> Architecture:
    """An architecture with the bits of its layers, which take the place of those that a joint search gave to stages."""
    return Architecture({**without_bits(architecture), **{f"{PREFIX}{layer}": bits for layer, bits in policy.items()}})


def without_bits(architecture: Mapping[str, Any]) -> Architecture:
    """The architecture alone, without the bits of layers and, from a joint search, of stages."""
    return Architecture(
        {
            name: option
            for name, option in architecture.items()
            if not name.startswith(PREFIX) and not name.endswith(STAGE_SUFFIX)
        }
    )


def widths(profile: str = DEFAULT_PROFILE) -> Bits:
    """The widths to choose from: 4 and 8 bits where they run."""
    allowed = get_profile(profile).allowed
    return {operation: tuple(bits for bits in (4, 8) if bits in allowed(operation)) for operation in SEARCHED}


def divided(limit: Limit) -> tuple[Limit, Limit]:
    """The limit of a final training as one for the training itself and one for bits and tuning."""
    if limit.steps is not None:
        return limit, Limit(steps=max(1, round(TUNING_SHARE * limit.steps)), deadline=limit.deadline)
    if limit.deadline is None:
        return limit, limit
    left = max(0.0, limit.deadline - time.monotonic())
    tuning = min(max(TUNING_SHARE * left, TUNING_SECONDS), MAX_TUNING_SHARE * left)
    return replace(limit, deadline=limit.deadline - tuning), Limit(deadline=limit.deadline)


def mixed_files(
    model: keras.Model,
    info: DatasetInfo,
    budget: Budget,
    train: Dataset,
    *,
    tuning: Limit | None,
    augmentation: Mapping[str, Any],
    seed: int,
    reporter: ProgressReporter,
) -> Iterator[MixedFile]:
    """Files within the limits of size and bit operations, from the first to the one expected to be best.

    A network whose int8 file keeps the budget has no other. For a larger one the integer programme chooses the bits,
    judged on training images; the files of its best policies come first, the best one last of these, then one of
    weights tuned for it.

    Args:
        model: Raw pixels to logits.
        info: Facts about the data.
        budget: The limits.
        train: Images to calibrate, search and tune with.
        tuning: When tuned weights have to be in a file; `None` for none. Half of its time is for the search.
        augmentation: The recipe of the training, for its `flip` and `cutout`.
        seed: Of draws, search and tuning.
        reporter: Told about the progress.

    Raises:
        InfeasibleBudgetError: If no policy keeps the budget.
        SearchError: If no policy could be evaluated.
        ExportError: If the model cannot be converted.
    """
    reporter.stage("search the bits of layers")
    start = time.monotonic()
    network = MixedPrecision(model, info, train.images, bits=widths(), seed=seed)
    deadline = None
    if tuning is not None and tuning.deadline is not None:
        deadline = tuning.deadline - CONVERSION_MARGIN * (time.monotonic() - start)
    size_kb = network.measured_size(network.widest) / 1000
    if budget.allows(Cost(size_kb=size_kb, bit_ops=network.files.space.bit_ops(network.widest))):
        yield _file(network, network.widest)
        return
    order = np.random.default_rng((seed, SEARCH_IMAGES)).permutation(train.num_examples)
    sample = train.take(np.sort(order[:SEARCH_IMAGES]))
    # By the loss: networks know their training images, and accuracies hardly differ.
    found = network.search(
        "ilp",
        budget,
        sample.images,
        sample.codes,
        sample.sample_weight,
        objective="val_loss",
        deadline=None if deadline is None else (time.monotonic() + deadline) / 2,
    )
    policies = [evaluation.architecture for evaluation in found if evaluation.error is None]
    for policy in reversed(policies[:UNTUNED]):
        yield _file(network, policy)
    if tuning is None:
        return
    if deadline is not None and time.monotonic() >= deadline:
        return
    reporter.stage("tune weights for their bits")
    tuned = network.fine_tuned(
        policies[0],
        train.images,
        train.codes,
        replace(tuning, deadline=deadline),
        sample_weight=train.sample_weight,
        augmentation=augmentation,
        on_progress=reporter.advance,
    )
    yield _file(tuned, policies[0])


def _file(network: MixedPrecision, policy: Architecture) -> MixedFile:
    return MixedFile(policy, network.model, network.files.export(policy), network.files.space.bit_ops(policy))
