"""The yes/no priors of a recipe, decided by what a first small network says, or by one trained like it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import keras

from automl_keras.data import PreparedData
from automl_keras.estimators.mirroring import may_mirror, small_sample, validation_score
from automl_keras.estimators.plan import Plan, Probe
from automl_keras.search_space import Architecture

OPTIMIZER_MARGIN = 0.01


def probe_recipe(
    first: keras.Model,
    recipe: Architecture,
    data: PreparedData,
    evaluating: Callable[[], AbstractContextManager[None]],
    train: Callable[[Architecture], keras.Model] | None,
) -> tuple[Architecture, tuple[Probe, ...]]:
    """Decide on mirroring and on the optimizer.

    Widths and regularisation are never probed: short trainings rank those wrongly.

    Args:
        first: The first small network, raw pixels to outputs, trained by the recipe.
        recipe: That recipe.
        data: With the images to ask about.
        evaluating: Entered while networks are asked.
        train: Trains a network like the first one by another recipe; `None` if the optimizer is not probed.
    """
    sample, task = small_sample(data.validation), data.info.task
    with evaluating():
        plain, mirrored = (validation_score(first, sample, mirrored=flip, task=task) for flip in (False, True))
    flip = may_mirror(plain, mirrored, sample.codes, task, sample_weight=sample.sample_weight)
    probes = [Probe("flip", {"False": plain, "True": mirrored}, flip)]
    if train is not None:
        model = train(Architecture({**recipe, "optimizer": "adamw"}))
        with evaluating():
            score = validation_score(model, sample, task=task)
        chosen = "adamw" if score >= plain + OPTIMIZER_MARGIN else recipe["optimizer"]
        probes.append(Probe("optimizer", {str(recipe["optimizer"]): plain, "adamw": score}, chosen))
    return Architecture({**recipe, **{probe.choice: probe.chosen for probe in probes}}), tuple(probes)


def without_augmentation(plan: Plan) -> Plan:
    """A plan where the user's own augmentation, or none, takes the place of the recipe's."""
    recipe = Architecture({**plan.recipe, "flip": False, "cutout": 0.0})
    return replace(plan, recipe=recipe, probes=tuple(probe for probe in plan.probes if probe.choice != "flip"))
