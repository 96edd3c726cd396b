"""`find_file`: the best file of mixed precision of a network, measured and within a budget."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from automl_keras.data import Dataset
from automl_keras.errors import ExportError
from automl_keras.evaluation import Budget, Cost
from automl_keras.evaluation.file_limits import held_against, warned_of_budget
from automl_keras.export import TFLiteReport, measure_file
from automl_keras.export.android import INPUTS, check_app, write_for_app
from automl_keras.export.exporter import draw_images, write_file
from automl_keras.export.rgb_input import with_rgb_input
from automl_keras.quantization.mixed_precision import Judge, MixedPrecision
from automl_keras.quantization.search_arguments import check_path
from automl_keras.search_space import Architecture
from automl_keras.training import BATCH_SIZE, Limit, predict

FINE_TUNED = 2  # of the policies found
FINE_TUNING_EPOCHS = 3

logger = logging.getLogger(__name__)


def find_file(
    network: MixedPrecision,
    budget: Budget,
    *,
    search: str,
    judge: Dataset,
    held_out: Dataset,
    train: Dataset | None = None,
    epochs: float = FINE_TUNING_EPOCHS,
    trials: int | None = None,
    evaluator: Judge = "file",
    path: str | Path | None = None,
    input: str = "native",
    android_project: str | Path | None = None,
) -> TFLiteReport:
    """The best file of a network within a budget; other arguments, result and errors as `search_bits`.

    Without training images it is the first file that keeps the budget, of the policies in the order of the search. With
    them it is the most accurate of three: the best two policies fine-tuned, and the best one as it is. Where none of
    these keeps the budget, the other policies follow as they are. A file that fails is passed over.

    Args:
        network: The trained network.
        budget: The limits.
        search: A key of `SEARCHES`.
        judge: Policies are compared by their loss on these.
        held_out: Files are measured on these.
        train: The best two policies are fine-tuned on these.
        epochs: Of the fine-tuning.
        trials: Policies to evaluate.
        evaluator: What the search compares policies by; see `MixedPrecision.search`.
        path: Where to write.
        input: What the file takes, a key of `automl_keras.export.android.INPUTS`. What the layer in front of an RGB
            file adds to its size counts against the budget.
        android_project: Folder of an app, into whose assets the file is copied as well.
    """
    check_path(path)
    check_app(input, android_project)
    asked, budget = budget, _less(budget, _bytes_in_front(network, input))
    found = network.search(
        search,
        budget,
        judge.images,
        judge.codes,
        judge.sample_weight,
        trials=trials,
        objective="val_loss",
        judge=evaluator,
    )
    policies = [evaluation.architecture for evaluation in found if evaluation.error is None]
    tuned = [] if train is None else policies[:FINE_TUNED]
    candidates = [(policy, train) for policy in tuned] + [(policy, None) for policy in policies]
    best: TFLiteReport | None = None
    refused: list[str] = []
    with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
        for number, (policy, examples) in enumerate(candidates):
            if best is not None and number > len(tuned):  # the others were worse in the search
                break
            try:
                made = network if examples is None else _tuned(network, policy, examples, epochs)
                report = _measured(made, policy, Path(folder) / f"{number}.tflite", judge, held_out)
                bit_ops = network.files.space.bit_ops(policy)
                report, _ = held_against(report, budget, Cost(bit_ops=bit_ops))
            except ExportError as error:
                refused.append(str(error))
                continue
            if best is None or report.score > best.score:
                best = report
        if best is None:
            raise ExportError(f"No file keeps the budget. Received: {'; '.join(dict.fromkeys(refused))}")
        target = Path(tempfile.mkdtemp(prefix="automl_keras_")) / "model.tflite" if path is None else Path(path)
        best = write_for_app(best, target, network.info, held_out, input=input, android_project=android_project)
        return _with_float_operations(warned_of_budget(best, asked), network.files.float_operations)


def _bytes_in_front(network: MixedPrecision, input: str) -> int:
    """What RGB input adds to a file of the network, whatever its bits."""
    pixels = INPUTS[input]
    if pixels is None:
        return 0
    native = network.files.export(network.widest)
    return len(with_rgb_input(native, network.info, pixels)) - len(native)


def _less(budget: Budget, size: int) -> Budget:
    """The budget of a file that will grow by so many bytes."""
    if budget.max_size_kb is None or size == 0:
        return budget
    return replace(budget, max_size_kb=max(budget.max_size_kb - size / 1000, 1e-3))  # no limit may be 0


def _tuned(network: MixedPrecision, policy: Architecture, train: Dataset, epochs: float) -> MixedPrecision:
    limit = Limit(steps=max(1, round(epochs * train.num_examples / min(BATCH_SIZE, train.num_examples))))
    return network.fine_tuned(policy, train.images, train.codes, limit, sample_weight=train.sample_weight)


def _measured(
    network: MixedPrecision, policy: Architecture, file: Path, tried_on: Dataset, held_out: Dataset
) -> TFLiteReport:
    """Write the file of a policy, and measure it."""
    write_file(network.files.export(policy), file, network.info, draw_images(tried_on.images, seed=0))
    logits = predict(network.model, held_out.images)
    return measure_file(file, held_out.images, held_out.codes, held_out.sample_weight, keras_predictions=logits)


def _with_float_operations(report: TFLiteReport, operations: tuple[str, ...]) -> TFLiteReport:
    if not operations:
        return report
    warning = f"{len(operations)} operations stay float: {', '.join(operations)}."
    logger.warning("%s", warning)
    return replace(report, warnings=(*report.warnings, warning))
