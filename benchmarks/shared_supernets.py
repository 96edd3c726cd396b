"""Supernets of the benchmarks of weight sharing: trained at equal gradient evaluations, then asked for all networks."""

import automl_keras  # noqa: F401, I001 - first, so that TensorFlow starts quietly
import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import tensorflow as tf
from shared_spaces import code
from shared_training import Results, Setting, Task

from automl_keras.data import Dataset
from automl_keras.search_space import Architecture, ImageSearchSpace
from automl_keras.search_space.network import BN_MOMENTUM
from automl_keras.supernet import (
    SAMPLERS,
    MinibatchScorer,
    Round,
    SubnetScorer,
    SupernetTrainer,
    make_sampler,
    make_supernet,
)
from automl_keras.tuners import SYSTEMS, DerivationStrategy, Policy, RoundRunner

SEARCH_SEEDS = range(10)
EVALUATIONS = 40  # of one search at most
MOVING_STEPS = 300  # until a moving mean has forgotten where it began
SHARED = ("space", "training", "seed", "network", "recalibrated", "moving_mean")
SUPERNETS = ("space", "training", "seed", "gradient_evaluations", "training_seconds", "evaluation_seconds")
PROPOSALS = ("training", "seed", "search_seed", "networks")


def shared_results(setting: Setting) -> Results:
    """Accuracies with shared weights."""
    words = """\
Accuracies with shared weights on the 2,000 validation images of Fashion-10k: `python benchmarks/rank_correlation.py
--supernets --missing`, `python benchmarks/weight_sharing.py --missing`. Networks and recipe as in rank81_alone.csv."""
    return Results(setting.folder / "rank81_shared.csv", SHARED, words)


def supernet_results(setting: Setting) -> Results:
    """What the supernets cost."""
    words = """\
The supernets of rank81_shared.csv. gradient_evaluations: of one path on one batch. training_seconds: tracing and
minibatches of policies included. evaluation_seconds: median of one evaluation, recalibration included."""
    return Results(setting.folder / "rank81_supernets.csv", SUPERNETS, words)


def proposal_results(setting: Setting) -> Results:
    """What policies would have evaluated after the training of their supernet."""
    words = "Networks that policies propose, in order, after the training of a supernet of rank81_supernets.csv."
    return Results(setting.folder / "rank81_proposals.csv", PROPOSALS, words)


def supernet_tasks(setting: Setting, wanted: Iterable[tuple[str, str]]) -> list[Task]:
    """The missing ones of some supernets, each given by its space and training, with all seeds."""
    finished = {(line["space"], line["training"], int(line["seed"])) for line in supernet_results(setting).lines()}
    keys = [(space, training, seed) for seed in setting.supernet_seeds for space, training in wanted]

    def task(space: str, training: str, seed: int) -> Task:
        return f"{space}-{training}-{seed}", lambda: run_supernet(setting, space, training, seed)

    return [task(*key) for key in keys if key not in finished]


def planned_rounds(training: str, space: ImageSearchSpace, gradient_evaluations: int) -> tuple[Round, ...]:
    """The rounds of a sampler, or those of a system whose paths a policy draws, at a number of gradients."""
    if training in SAMPLERS:
        return (Round(training, gradient_evaluations=gradient_evaluations),)
    shares = SYSTEMS[training].rounds(space, epochs=1.0, seconds=None, largest=0.0)
    return tuple(
        replace(planned, epochs=None, gradient_evaluations=round((planned.epochs or 0.0) * gradient_evaluations))
        for planned in shares
    )


def run_supernet(setting: Setting, space: str, training: str, seed: int) -> None:
    """Train a supernet, score all networks of the benchmark, and write what was found.

    Args:
        setting: How large everything is.
        space: "operations" or "sizes".
        training: A sampler, or a system with a policy.
        seed: Of weights, paths, order and augmentation.
    """
    within, prepared = setting.spaces[space], setting.material.prepared
    train, validation = prepared.train, prepared.validation
    start = time.monotonic()
    supernet = make_supernet(within, prepared.info, seed=seed)
    trainer = SupernetTrainer(supernet, setting.recipe, seed=seed)
    rounds = planned_rounds(training, within, setting.gradient_evaluations)
    policy: Policy | None = None
    minibatches = None
    if training not in SAMPLERS and (kind := SYSTEMS[training].policy) is not None:
        policy = kind(within, seed=seed)
        minibatches = MinibatchScorer(supernet, validation.images, validation.codes, seed=seed)
    runner = RoundRunner(trainer, train, rounds, policy=policy, minibatches=minibatches)
    for number in range(1, len(rounds) + 1):
        runner.run(number)
    training_seconds = time.monotonic() - start
    scorer = SubnetScorer(supernet, train.images, validation.images, validation.codes, seed=seed)
    networks = setting.networks(space)
    recalibrated, seconds = _recalibrated(scorer, list(networks.values()))
    moving = _with_moving_mean(scorer, list(networks.values()), validation, seed)
    shared_results(setting).append(
        dict(zip(SHARED, (space, training, seed, network, first, second), strict=True))
        for network, first, second in zip(networks, recalibrated, moving, strict=True)
    )
    if policy is not None:
        proposal_results(setting).append(
            dict(zip(PROPOSALS, (training, seed, search_seed, _proposals(policy, within, search_seed)), strict=True))
            for search_seed in SEARCH_SEEDS
        )
    # The line that makes the others count comes last.
    values = (space, training, seed, trainer.gradient_evaluations, training_seconds, seconds)
    supernet_results(setting).append([dict(zip(SUPERNETS, values, strict=True))])


def _recalibrated(scorer: SubnetScorer, networks: list[Architecture]) -> tuple[list[float], float]:
    """Accuracies, each with BatchNorm statistics of its own; and the median seconds of one."""
    scorer.score(networks[0])  # traced here
    accuracies, seconds = [], []
    for network in networks:
        start = time.monotonic()
        accuracies.append(scorer.score(network))
        seconds.append(time.monotonic() - start)
    return accuracies, float(np.median(seconds))


def _with_moving_mean(
    scorer: SubnetScorer, networks: list[Architecture], validation: Dataset, seed: int
) -> list[float]:
    """Accuracies without recalibration: all networks use the same statistics.

    A supernet keeps none while it is trained. These are what a moving mean would hold at its end, where weights move
    no more: with the momentum of networks trained alone, over paths of the largest sizes with operations in fair
    turns (a mean over all sizes would mix channels that a path has with channels that it has not).
    """
    supernet, accuracies = scorer.supernet, []
    size = min(250, validation.num_examples)
    batches = [
        (tf.constant(validation.images[begin : begin + size]), validation.codes[begin : begin + size])
        for begin in range(0, validation.num_examples - size + 1, size)
    ]
    with supernet.preserved():
        sampler = make_sampler("largest", supernet.space, seed=seed)
        for step in range(MOVING_STEPS):
            supernet.set_architecture(sampler.draw(step)[0])
            images = scorer.calibration_batches[step % len(scorer.calibration_batches)]
            scorer.calibrate_batch(images, tf.constant(1.0 - BN_MOMENTUM))
        for network in networks:
            supernet.set_architecture(network)
            right = [np.mean(tf.argmax(scorer.predict_batch(images), -1).numpy() == codes) for images, codes in batches]
            accuracies.append(float(np.mean(right)))
    return accuracies


def _proposals(policy: Policy, space: ImageSearchSpace, search_seed: int) -> str:
    """The codes of what is evaluated for one seed; nothing is learnt meanwhile, so scores change nothing."""
    proposed = DerivationStrategy(space, seed=search_seed, policy=policy).ask(EVALUATIONS)
    return " ".join(code(space, architecture) for architecture in proposed)
