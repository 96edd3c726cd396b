"""`MixedPrecision`: one trained network, its bits searched under a budget and its weights fine-tuned for them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import keras
import numpy as np

from automl_keras.data import DatasetInfo, Images
from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.evaluation import Budget, Evaluation
from automl_keras.export.exporter import pixels_to_represent
from automl_keras.quantization.bit_space import DEFAULT_PROFILE, Bits
from automl_keras.quantization.evaluators import FakeQuantEvaluator, FileEvaluator
from automl_keras.quantization.fake_quant import FakeQuantModel
from automl_keras.quantization.fine_tuning import PLAIN, fine_tune
from automl_keras.quantization.folding import fold_batch_norm
from automl_keras.quantization.ilp import BYTES_PER_KB, LinearLimit
from automl_keras.quantization.layer_latency import latency_limit
from automl_keras.quantization.policy_files import PolicyFiles, widest_integer
from automl_keras.quantization.profiles import RuntimeProfile
from automl_keras.quantization.searches import best_first, run_search
from automl_keras.search_space import Architecture
from automl_keras.training import Limit

# Policies that a search evaluates; "ilp" and "evolution" beyond what the sensitivities need.
TRIALS = {"ilp": 8, "evolution": 60, "random": 100, "ddpg": 300}
AFTER_SENSITIVITIES = BY_LATENCY = ("ilp", "evolution")  # these know the limits
Judge = Literal["file", "fake_quant"]
CHECKED = 5  # of the policies found by predictions, so many are judged by their files
ROUNDING = 1e-6  # of a byte: a limit of 1.001 kB allows 1001 bytes


class MixedPrecision:
    """A trained network whose layers may have weights of different widths.

    Args:
        model: Images to logits, or to probabilities by a softmax at its end. It is left alone.
        info: Pixel type, range and classes of the data.
        calibration_images: Shape `(n, height, width, channels)`; at most 200, drawn by `seed`, are used.
        profile: Where the files shall run.
        bits: Widths to choose from; see `bit_space`.
        seed: Of that draw, of searches and of trainings.

    Attributes:
        model: The network with BatchNorm folded into its layers.
        files: Makes its files.

    Raises:
        InvalidArgumentError: As for `fold_batch_norm` and `PolicyFiles`.
        ExportError: If the model cannot be converted.
    """

    def __init__(
        self,
        model: keras.Model,
        info: DatasetInfo,
        calibration_images: Images,
        *,
        profile: str | RuntimeProfile = DEFAULT_PROFILE,
        bits: Bits | None = None,
        seed: int,
    ) -> None:
        self.model = fold_batch_norm(model)
        self.info = info
        self.files = PolicyFiles(self.model, info, calibration_images, profile=profile, seed=seed, bits=bits)
        self._calibration_images = calibration_images
        self._profile = profile
        self._bits = bits
        self._seed = seed

    @property
    def widest(self) -> Architecture:
        """The policy in which every layer has its widest integers: plain int8, unless others were asked for."""
        return self.files.space.canonical({d.name: widest_integer(d.options) for d in self.files.space.decisions})

    def search(
        self,
        search: str,
        budget: Budget,
        images: Images,
        codes: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        trials: int | None = None,
        objective: str = "val_accuracy",
        judge: Judge = "file",
        deadline: float | None = None,
    ) -> list[Evaluation]:
        """Policies within the budget, judged by their real files in a child process, the best first.

        Args:
            search: See `run_search`.
            budget: Its limits of size and bit operations; for "ilp" and "evolution" of latency too, which is predicted
                from the measured times of single layers. Without such a limit, the widest policy is the only one.
            images: To judge on, shape `(n, height, width, channels)`.
            codes: The right classes, shape `(n,)`.
            sample_weight: How much each image counts, shape `(n,)`.
            trials: Policies to evaluate; by default as many as usual for the search.
            objective: "val_accuracy" or "val_loss".
            judge: What the search compares policies by: "file", or "fake_quant", the fake-quantized network, which
                makes no files. Then the files of the best five policies decide, and are returned.
            deadline: A time of `time.monotonic()` at which to end; see `run_search`.

        Raises:
            InvalidArgumentError: If the judge is unknown.
            InfeasibleBudgetError: If no policy is within the budget; it states the smallest file, or shortest latency.
            SearchError: If no file could be evaluated.
            ExportError: If there is a limit of latency, and the file of the largest policy cannot be timed.
        """
        if judge not in get_args(Judge):
            raise InvalidArgumentError(f"`judge` must be one of {get_args(Judge)}. Received: judge={judge!r}")
        space = self.files.space
        limits, measure = self._limits(budget)

        def is_late() -> bool:
            return deadline is not None and time.monotonic() >= deadline

        with FileEvaluator(self.files, images, codes, sample_weight) as by_file:
            if budget.max_latency_ms is not None and search in BY_LATENCY:
                # The agents lower the bits until a policy fits, which makes many networks slower.
                limits.append(latency_limit(self.files, by_file.runtime, budget.max_latency_ms, is_late))
            if not limits:
                return self._checked([self.widest], by_file, objective)
            if trials is None:
                options = sum(len(decision.options) - 1 for decision in space.decisions)
                trials = TRIALS.get(search, 1) + (options + 2) * (search in AFTER_SENSITIVITIES)
            found = run_search(
                search,
                space,
                by_file if judge == "file" else self._predictor(images, codes, sample_weight),
                limits=limits,
                measure=measure,
                trials=trials,
                objective=objective,
                seed=self._seed,
                deadline=deadline,
            )
            if judge == "file":
                return found
            return self._checked([evaluation.architecture for evaluation in found], by_file, objective)

    def _predictor(self, images: Images, codes: np.ndarray, sample_weight: np.ndarray | None) -> FakeQuantEvaluator:
        files = self.files
        return FakeQuantEvaluator(
            self._fake_quant(), files.space, images, codes, sample_weight, predict_size=files.predict_size
        )

    def _checked(self, policies: list[Architecture], by_file: FileEvaluator, objective: str) -> list[Evaluation]:
        """The first policies by their files, the best first and failed ones last."""
        succeeded: list[Evaluation] = []
        failed: list[Evaluation] = []
        for policy in policies:
            evaluation = by_file.evaluate(policy)
            (failed if evaluation.failed(objective) else succeeded).append(evaluation)
            if len(succeeded) == CHECKED:
                break
        if not succeeded:
            raise SearchError(f"No policy's file could be evaluated. Received: {failed[0].error}")
        return best_first(succeeded, self.files.space, objective) + failed

    def _fake_quant(self) -> FakeQuantModel:
        fake_quant = FakeQuantModel(self.model)
        fake_quant.calibrate(self._calibration_images, seed=self._seed, pixel_range=pixels_to_represent(self.info))
        return fake_quant

    def _limits(self, budget: Budget) -> tuple[list[LinearLimit], Callable[[Architecture], float] | None]:
        space, limits = self.files.space, []
        measure = None
        if budget.max_size_kb is not None:
            most = math.floor(BYTES_PER_KB * budget.max_size_kb + ROUNDING)
            limits.append(LinearLimit.additive(self.files.predict_size, space, most))
            measure = self.measured_size
        if budget.max_bit_ops is not None:
            limits.append(LinearLimit.additive(space.bit_ops, space, budget.max_bit_ops, "bit operations"))
        return limits, measure

    def measured_size(self, policy: Architecture) -> float:
        """Bytes of the real file of a policy."""
        return float(len(self.files.export(policy)))

    def fine_tuned(
        self,
        policy: Mapping[str, Any],
        images: Images,
        codes: np.ndarray,
        limit: Limit,
        *,
        sample_weight: np.ndarray | None = None,
        augmentation: Mapping[str, Any] = PLAIN,
        on_progress: Callable[[float], None] | None = None,
    ) -> MixedPrecision:
        """The network trained on for a policy, with this one as its teacher; its weights are on the policy's grid.

        Args:
            policy: For which it is trained.
            images: Shape `(n, height, width, channels)`, in the user's units.
            codes: The right classes, shape `(n,)`.
            limit: When to end.
            sample_weight: How much each image counts, 1 on average, shape `(n,)`.
            augmentation: See `fine_tune`.
            on_progress: Called now and then with the progress in [0, 1].
        """
        fake_quant = self._fake_quant()
        fine_tune(
            fake_quant,
            policy,
            images,
            codes,
            limit,
            teacher=self.model,
            seed=self._seed,
            augmentation=augmentation,
            sample_weight=sample_weight,
            on_progress=on_progress,
        )
        return MixedPrecision(
            fake_quant.hardened(),
            self.info,
            self._calibration_images,
            profile=self._profile,
            bits=self._bits,
            seed=self._seed,
        )
