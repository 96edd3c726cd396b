"""`TransferFitting`: the stages of `fit` on a backbone: features, heads, fine-tunings."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras

from automl_keras.data import Dataset, PreparedData
from automl_keras.errors import ExportError
from automl_keras.estimators.finishing import RESERVE_SECONDS, Finisher
from automl_keras.estimators.fit_result import FitResult
from automl_keras.estimators.journal import Journal
from automl_keras.estimators.mirroring import may_mirror, small_sample, validation_score
from automl_keras.estimators.plan import CUTOUT_EPOCHS, Plan, Probe
from automl_keras.estimators.settings import FitSettings
from automl_keras.estimators.transfer.costs import BackboneNetworks
from automl_keras.estimators.transfer.trials import PLAIN, TransferTrials
from automl_keras.evaluation import Evaluation
from automl_keras.reporting import TimedReporter
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.training import Limit, TrainingLog

FEATURE_SHARE = 0.4  # of the time limit, for computing features
SETUP_FACTOR = 4.0  # to set up a fine-tuning, times what building its network takes; it is to train as long
HEAD_SHARE = 0.15  # of what is left then, for heads
TRIAL_SHARE = 0.5  # of what is left then, for fine-tunings that are compared
LEAST_SECONDS = 4.0  # for one of them
FINE_TUNING_EPOCHS, FINE_TUNING_STEPS = 10, 100  # where no time limit ends a training


class TransferFitting:
    """One run of `fit` on a backbone.

    Heads on the frozen backbone are searched first; then, with the best of them, which layers are fine-tuned, and how
    fast: under a time limit in short trainings, of which the best is repeated at length. Whatever is better on the
    validation images than all before becomes a file at once, so that there is a result from the first head on.
    Validation images are not trained on.

    Args:
        settings: What the user asked for.
        data: The checked and split data.
        networks: On the backbone, within the budget.
        directory: Where everything is written.
        reporter: Told about the progress.
        journal: Of the project. A fit that was interrupted goes on: what is evaluated is not trained again.
        held_out: Validation images that files are measured on.
    """

    def __init__(
        self,
        settings: FitSettings,
        data: PreparedData,
        networks: BackboneNetworks,
        directory: Path,
        reporter: TimedReporter,
        journal: Journal,
        *,
        held_out: Dataset,
    ) -> None:
        self.settings = settings
        self.data = data
        self.networks = networks
        self.reporter = reporter
        self.journal = journal
        train = data.weighted(data.train)
        self.finisher = Finisher(
            settings.budget,
            data.info,
            train,
            held_out,
            directory,
            reporter,
            journal,
            spaces=networks,
            seed=settings.seed,
        )
        self.trials = TransferTrials(
            networks,
            train,
            data.validation,
            batch_size=settings.batch_size,
            seed=settings.seed,
            on_progress=self.finisher.advance,
            on_fine_tuned=self._keep_curve,
            callbacks=settings.callbacks,
        )
        self.plan: Plan | None = None
        self.evaluations: list[Evaluation] = []
        self._in_stage = False
        self._images_per_second = 0.0  # of the last fine-tuning
        self._to_beat = (-math.inf, -math.inf)  # `_quality` of the last network that became a file
        self._known = {
            evaluation.architecture: evaluation
            for evaluation in map(Evaluation.from_dict, journal.facts.get("evaluations", []))
        }

    def _keep_curve(self, log: TrainingLog) -> None:
        self._images_per_second = log.images_per_second
        self.journal.keep_curve(f"fine-tuning {1 + len(self.journal.curves)}", log.curve)

    def run(self) -> FitResult:
        """Go through all stages; Ctrl-C after the first model ends with the best one so far.

        Raises:
            SearchError: If no network could be exported within the budget.
            KeyboardInterrupt: If it was interrupted before there was a model.
        """
        try:
            if "best" in self.journal.facts:
                self.reporter.message("Going on with an unfinished project.")
                self.finisher.restore()
                self._to_beat = max(map(self._quality, self._known.values()), default=self._to_beat)
            self._search()
        except KeyboardInterrupt:
            if self.finisher.best is None:
                raise
            self.reporter.message("Interrupted: keeping the best model so far.")
        return FitResult.of(self.finisher, self.plan, self.evaluations)

    def _search(self) -> None:
        limit, space = self.settings.time_limit, self.networks.space
        self.reporter.stage("features of the backbone", None if limit is None else FEATURE_SHARE * limit)
        left = self._seconds_left()
        self.trials.compute_features(None if left is None else FEATURE_SHARE * left)
        shares = self.networks.backbone.unfrozen
        if self.settings.max_trials == 1:
            self._keep_plan(PLAIN, (), space.default(), 1)
            self._try("head and fine-tuning", space, space.default(), PLAIN, 1, None)
            return
        left = self._seconds_left()
        until = None if left is None or not shares else time.monotonic() + HEAD_SHARE * left
        frozen = space.restrict({"unfrozen": (0.0,)})
        num_heads = self.settings.max_trials
        if num_heads is not None and shares:
            num_heads = max(1, num_heads // 2)
        self._try("heads on the frozen backbone", frozen, frozen.default(), PLAIN, num_heads, until)
        best = max(self.evaluations, key=self._quality)
        recipe, probes = self._recipe()
        fine_tuned = space.restrict(
            {
                "head_units": (best.architecture["head_units"],),
                "dropout": (best.architecture["dropout"],),
                "unfrozen": [option for option in space["unfrozen"].options if option] or (0.0,),
            }
        )
        num_left = fine_tuned.size if shares else 0
        if self.settings.max_trials is not None:
            num_left = min(num_left, self.settings.max_trials - len(self.evaluations))
        left = self._seconds_left()
        if left is not None:  # the last of those that the time allows is the final training
            num_left = min(num_left, int(max(0.0, left) / self._least_seconds))
        self._keep_plan(recipe, probes, best.architecture, num_left)
        if left is None:
            self._try("fine-tune", fine_tuned, fine_tuned.default(), recipe, num_left, None)
        elif num_left:
            self._race(fine_tuned, recipe, num_left, left)

    @property
    def _least_seconds(self) -> float:
        """What a fine-tuning takes that trains as long as it is set up, and what comes after it."""
        setup = SETUP_FACTOR * self.networks.build_seconds
        return max(LEAST_SECONDS, 2.0 * setup + self.trials.validation_seconds)

    def _race(self, space: SearchSpace, recipe: Architecture, count: int, seconds: float) -> None:
        """Fine-tune a few networks in half of the time, and the best of them anew for the rest of it."""
        count = min(count - 1, int(TRIAL_SHARE * seconds / self._least_seconds))
        if count > 1:  # one alone is better trained for all of the time
            self._try("fine-tune", space, space.default(), recipe, count, time.monotonic() + TRIAL_SHARE * seconds)
        tuned = [evaluation for evaluation in self.evaluations if evaluation.architecture["unfrozen"]]
        best = max(tuned, key=self._quality).architecture if tuned else space.default()
        left = max(0.0, self._seconds_left() or 0.0)
        self.reporter.stage("train the final network", left)
        epochs = left * self._images_per_second / self.data.train.num_examples
        self._evaluate(best, _with_cutout(recipe, epochs), 1, None, again=True)

    def _try(
        self,
        stage: str,
        space: SearchSpace,
        first: Architecture,
        recipe: Mapping[str, Any],
        count: int | None,
        until: float | None,
    ) -> None:
        """Evaluate what the strategy proposes: so many networks, as long as there is time."""
        budget = self.settings.budget
        strategy = self.settings.system.strategy(
            space,
            objective=self.settings.objective,
            feasible=lambda architecture: self.networks.allows(architecture, budget),
            seed=self.settings.seed,
            initial=[first],
        )
        done, self._in_stage = 0, False
        while count is None or done < count:
            left = self._seconds_left()
            is_over = (left is not None and left <= 0) or (until is not None and time.monotonic() >= until)
            if is_over and self.evaluations:
                return
            proposals = strategy.ask()
            if not proposals:
                return
            if not self._in_stage:  # it is left for each file
                self.reporter.stage(stage, left if until is None else until - time.monotonic())
                self._in_stage = True
            strategy.tell([self._evaluate(proposals[0], recipe, 1 if count is None else count - done, until)])
            done += 1

    def _evaluate(
        self,
        architecture: Architecture,
        recipe: Mapping[str, Any],
        trials_left: int,
        until: float | None,
        *,
        again: bool = False,
    ) -> Evaluation:
        """One network; if it is the best so far, its file too. What is known is trained only if it is to be `again`."""
        known = self._known.get(architecture)
        if known is None or again:
            limit = self._limit(trials_left, until)
            evaluation, make_model = self.trials.evaluate(architecture, limit, self.settings.trained_by(recipe))
            if self._quality(evaluation) > self._to_beat:
                self._finish(evaluation, make_model())
        else:
            evaluation = known
        self.evaluations.append(evaluation)
        self.reporter.trial(len(self.evaluations), evaluation, self.settings.objective)
        self.journal.write(evaluations=[evaluation.to_dict() for evaluation in self.evaluations])
        return evaluation

    def _quality(self, evaluation: Evaluation) -> tuple[float, float]:
        """What is maximised on the validation images; of equals, which few images make many, the smaller loss wins."""
        return evaluation.metrics[self.settings.objective], -evaluation.metrics["val_loss"]

    def _finish(self, evaluation: Evaluation, model: keras.Model) -> None:
        self._in_stage = False
        start = time.monotonic()
        with suppress(ExportError):  # it is among the failures; an earlier network stays
            self.finisher.finish(evaluation.architecture, model)
            self._to_beat = self._quality(evaluation)
        # The search of bits included, if there is one.
        needed = 1.3 * (time.monotonic() - start) + RESERVE_SECONDS
        self.finisher.seconds_needed = max(self.finisher.seconds_needed, needed)

    def _limit(self, trials_left: int, until: float | None) -> Limit:
        """Of a fine-tuning: an equal part of the time left, until the end of the stage, or a number of steps."""
        left = self._seconds_left() if until is None else until - time.monotonic()
        if left is not None:
            return Limit(
                steps=self.settings.steps(self.settings.epochs, self.data.train.num_examples)
                if self.settings.epochs is not None
                else None,
                deadline=time.monotonic() + max(0.0, left / trials_left - self.trials.validation_seconds),
            )
        per_epoch = self.settings.steps(1, self.data.train.num_examples) or 1
        epochs = self.settings.epochs or max(FINE_TUNING_EPOCHS, math.ceil(FINE_TUNING_STEPS / per_epoch))
        return Limit(steps=epochs * per_epoch)

    def _seconds_left(self) -> float | None:
        """Until the time limit, without what the next file needs."""
        deadline = self.settings.deadline
        return None if deadline is None else deadline - self.finisher.seconds_needed - time.monotonic()

    def _recipe(self) -> tuple[Architecture, tuple[Probe, ...]]:
        """The augmentation of fine-tunings, by what the best network says of mirrored images."""
        if self.finisher.best is None or not self.settings.has_auto_augmentation:
            return PLAIN, ()
        sample, task = small_sample(self.trials.validation), self.data.info.task
        with self.reporter.evaluating():
            plain, mirrored = (
                validation_score(self.finisher.best.model, sample, mirrored=flip, task=task) for flip in (False, True)
            )
        flip = may_mirror(plain, mirrored, sample.codes, task, sample_weight=sample.sample_weight)
        return Architecture({**PLAIN, "flip": flip}), (Probe("flip", {"False": plain, "True": mirrored}, flip),)

    def _keep_plan(self, recipe: Architecture, probes: tuple[Probe, ...], default: Architecture, num_left: int) -> None:
        """Write down what is done after the heads."""
        seconds = self._seconds_left()
        self.plan = Plan(
            recipe=recipe,
            probes=probes,
            default=default,
            space=None,
            rounds=(),
            max_trials=self.settings.max_trials,
            search_seconds=seconds,
            final_epochs=self.settings.epochs,
            final_seconds=None if seconds is None else seconds / max(1, num_left),
            reason=f"{len(self.evaluations)} heads tried on the frozen backbone, {num_left} networks to fine-tune",
        )
        self.journal.write(plan=self.plan.to_dict())
        self.reporter.message(f"Plan: {self.plan.reason}.")


def _with_cutout(recipe: Architecture, epochs: float) -> Architecture:
    """A recipe with cutout where the training is long enough for it."""
    return Architecture({**recipe, "cutout": 0.18 if epochs >= CUTOUT_EPOCHS else 0.0})
