"""The refit: the finished network goes on learning, from the images too on which its file was measured."""

from __future__ import annotations

import time
from dataclasses import replace

import keras

from automl_keras.data import PreparedData
from automl_keras.errors import ExportError
from automl_keras.estimators.finishing import Finished, Finisher
from automl_keras.estimators.held_out import all_images
from automl_keras.estimators.plan import Plan
from automl_keras.estimators.settings import FitSettings
from automl_keras.training import Limit, train_network

REFIT_SHARE = 0.1  # of the time limit; without one, of the epochs of the final training
REFIT_BEGIN = 0.8  # the last part of the schedule comes once more: its learning rates are low


def refit_seconds(settings: FitSettings) -> float:
    """The time planned for the training of a refit; 0.0 without a time limit."""
    return REFIT_SHARE * (settings.time_limit or 0.0)


def refit(finisher: Finisher, data: PreparedData, settings: FitSettings, plan: Plan) -> None:
    """Train a copy of the best network on all images and let it take the place of the best.

    The accuracy that was measured before stays in its report, since no image is left to measure it
    again. The best stays what it was if the new file fails, breaks the budget or is worse even on images
    that its network has learnt from. A network that was refitted is not refitted again.

    Args:
        finisher: With the best network.
        data: All there is.
        settings: With the deadline.
        plan: How the network was trained.
    """
    before = finisher.best
    if before is None or before.report.refitted:
        return
    deadline = seconds = None
    if settings.deadline is not None:
        seconds = refit_seconds(settings)
        deadline = settings.deadline - finisher.seconds_needed
        if time.monotonic() >= deadline:
            finisher.reporter.message("No time is left for the refit.")
            return
    finisher.reporter.stage("refit on all images", seconds)
    train = all_images(data)
    epochs = None if plan.final_epochs is None else REFIT_SHARE * plan.final_epochs
    model = keras.models.clone_model(before.model)
    model.set_weights(before.model.get_weights())
    log = train_network(
        model,
        train.images,
        train.codes,
        settings.trained_by(plan.recipe),
        Limit(settings.steps(epochs, train.num_examples), seconds, deadline, begin=REFIT_BEGIN),
        sample_weight=train.sample_weight,
        batch_size=settings.batch_size,
        seed=settings.seed,
        on_progress=finisher.advance,
        task=data.info.task,
    )
    finisher.journal.keep_curve("refit on all images", log.curve)
    if _take_over(finisher, before, model):
        finisher.reporter.message(
            f"Refitted on all {train.num_examples} images for {log.epochs:.1f} epochs. Its accuracy was measured "
            "before that: now there is no image that the network has not seen."
        )


def _take_over(finisher: Finisher, before: Finished, model: keras.Model) -> bool:
    """Whether the refitted network is the best from now on."""
    try:
        after = finisher.export_and_measure(before.architecture, model)
    except ExportError as error:
        finisher.reporter.message(f"The network stays as it was before the refit: {error}")
        return False
    if after.report.score < finisher.score_to_match():
        finisher.evaluations.append(replace(after.evaluation, error="The refit made the network worse."))
        finisher.reporter.message("The network stays as it was before the refit, which made it worse.")
        return False
    report = replace(after.report, accuracy=before.report.accuracy, r2_score=before.report.r2_score, refitted=True)
    evaluation = replace(after.evaluation, metrics=before.evaluation.metrics)
    finisher.keep(replace(after, report=report, evaluation=evaluation))
    return True
