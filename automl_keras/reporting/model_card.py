"""`write_model_card`: what those who use a model should know about it, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from automl_keras.data import DatasetInfo, MultiLabel, Regression
from automl_keras.reporting.diagnostics import (
    ClassScores,
    calibration,
    class_scores,
    confusion_matrix,
    label_scores,
    value_errors,
)
from automl_keras.reporting.plots import COST_LABELS
from automl_keras.reporting.results import Answers, Predictions, SearchResults, versions
from automl_keras.reporting.whole_files import write_whole

SPECIAL = re.compile(r"([\\`*_\[\]<>|&~#])")  # what means something in Markdown or HTML


def write_model_card(
    results: SearchResults, path: str | Path, predictions: Predictions | Answers | None = None
) -> None:
    """Write a model card (Mitchell et al., FAT* 2019) with all that is known; the rest is left to its owner.

    Args:
        results: What the fit found.
        path: The file; it appears there whole or not at all.
        predictions: For the scores of single classes, which are left out without it.

    Raises:
        OSError: If the file cannot be written.
    """
    write_whole(path, model_card(results, predictions))


def model_card(results: SearchResults, predictions: Predictions | Answers | None = None) -> str:
    """The text of a model card; see `write_model_card`."""
    parts = [_model(results), _use(results), _data(results), _performance(results)]
    if isinstance(predictions, Answers):
        parts.append(_task_answers(results, predictions))
    elif predictions is not None:
        parts.append(_answers(results, predictions))
    parts += [_limits(results), _training(results)]
    return "\n\n".join(parts) + "\n"


def _model(results: SearchResults) -> str:
    report = results.report
    height, width, channels = results.info.image_shape
    bits = sorted(set(report.bits.values()))
    rows = [
        ("File", f"{escape(results.file.name)}, {report.size_kb:.1f} kB"),
        ("Input", f"one image, {height} x {width} x {channels}, {results.info.input_dtype}, raw pixels"),
        ("Output", _output(results.info)),
        ("Bits of weights", ", ".join(map(str, bits)) or "unknown"),
        ("Oldest runtime", escape(report.min_runtime)),
    ]
    return f"# {results.title}\n\nFound, trained and exported by automl-keras.\n\n{_table(('What', 'Value'), rows)}"


def _output(info: DatasetInfo) -> str:
    if isinstance(info.task, Regression):
        return f"{info.num_outputs} numbers, in the units of the values trained with"
    if isinstance(info.task, MultiLabel):
        return f"a probability for each of {info.num_outputs} labels, by itself"
    return f"a probability for each of {info.num_classes} classes"


def _use(results: SearchResults) -> str:
    classes = ", ".join(map(escape, results.classes))
    does = (
        f"It tells images of these classes apart: {classes}. It names one of them for any image, also for one of "
        "something else."
    )
    if isinstance(results.info.task, Regression):
        does = "It estimates numbers for an image. It gives them for any image, also for one of something else."
    elif isinstance(results.info.task, MultiLabel):
        does = f"It tells which of these labels an image has, several or none: {classes}."
    return f"## Intended use\n\n{does}\n\nWhat it is meant for, and for whom, only its owner knows: to be added here."


def _data(results: SearchResults) -> str:
    info = results.info
    low, high = info.pixel_range
    return (
        "## Data\n\n"
        f"{info.num_train} images to learn from and {info.num_validation} to validate on, pixels from {low:g} to "
        f"{high:g}. Where they come from, and whom they show, only their owner knows: to be added here."
    )


def _performance(results: SearchResults) -> str:
    report = results.report
    rows = [
        (f"{results.score_name.capitalize()} of the file", f"{report.score:.4f}"),
        ("Agreement with Keras", f"{report.agreement:.4f}"),
    ]
    for name, value in results.best.cost.to_dict().items():
        if value is not None:
            label, unit = COST_LABELS[name]
            rows.append((label, f"{value if isinstance(value, int) else f'{value:.4g}'} {unit}".rstrip()))
    limits = {} if results.budget is None else results.budget.limits()
    rows += [(f"Limit: {name}", f"{limit:g}") for name, limit in limits.items()]
    when = "before it learnt from all images in the end" if report.refitted else "that the network has not seen"
    said = (
        f"Run by {escape(report.runtime)}, one thread, on the machine of the fit. The {results.score_name} comes from "
        f"validation images, {when}."
    )
    return f"## Performance\n\n{said}\n\n{_table(('Measure', 'Value'), rows)}"


def _answers(results: SearchResults, predictions: Predictions) -> str:
    confusion = confusion_matrix(predictions.codes, predictions.predicted, len(results.classes))
    error = calibration(predictions.codes, predictions.probabilities).error
    found = class_scores(confusion)
    rows = [_scores_row(name, scores) for name, scores in zip(results.classes, found, strict=True)]
    said = (
        f"{len(predictions.codes)} images given to the report, answered by the Keras model: accuracy "
        f"{predictions.accuracy:.4f}, expected calibration error {error:.4f} (Guo et al., 2017)."
    )
    return f"### Single classes\n\n{said}\n\n{_table(('Class', 'Precision', 'Recall', 'F1', 'Images'), rows)}"


def _task_answers(results: SearchResults, predictions: Answers) -> str:
    task = results.info.task
    score = task.score(task.outputs_of(predictions.answers), predictions.codes)
    said = (
        f"{len(predictions.codes)} images given to the report, answered by the Keras model: {results.score_name} "
        f"{score:.4f}."
    )
    if isinstance(task, Regression):
        columns = ("Value", "R²", "Mean absolute error", "Root mean square error")
        found = value_errors(task.values(predictions.codes), predictions.answers)
        values = [
            (str(place), f"{each.r2_score:.4f}", f"{each.mean_absolute:.4g}", f"{each.root_mean_square:.4g}")
            for place, each in enumerate(found)
        ]
        return f"### Single values\n\n{said}\n\n{_table(columns, values)}"
    found_labels = label_scores(predictions.codes > 0.5, predictions.answers > 0.5)
    labels = [_scores_row(name, scores) for name, scores in zip(results.classes, found_labels, strict=True)]
    return f"### Single labels\n\n{said}\n\n{_table(('Label', 'Precision', 'Recall', 'F1', 'Images'), labels)}"


def _scores_row(name: str, scores: ClassScores) -> tuple[str, ...]:
    return escape(name), f"{scores.precision:.4f}", f"{scores.recall:.4f}", f"{scores.f1:.4f}", str(scores.support)


def _limits(results: SearchResults) -> str:
    warnings = [f"- {escape(warning)}" for warning in results.report.warnings]
    known = [
        "- Accuracies are of images like those of the fit; they say nothing about other cameras, places or times.",
        "- Latency is of the machine of the fit, not of a phone.",
    ]
    return "\n".join(["## Limits", "", *warnings, *known])


def _training(results: SearchResults) -> str:
    recipe = {} if results.plan is None else results.plan["recipe"]
    rows = [
        ("Networks evaluated", str(len(results.evaluations))),
        (
            "Seconds of the fit",
            f"{sum(stage.seconds for stage in results.stages):.1f}" if results.stages else "unknown",
        ),
        ("Seed", "unknown" if results.seed is None else str(results.seed)),
        *((f"Recipe: {escape(name)}", escape(value)) for name, value in recipe.items()),
        *((f"Network: {escape(name)}", escape(value)) for name, value in results.best.architecture.items()),
        *((f"Version of {name}", version) for name, version in versions().items()),
    ]
    code = f"\n\n```python\n{results.code}\n```" if results.code else ""
    return f"## Training\n\n{_table(('What', 'Value'), rows)}{code}"


def escape(value: object) -> str:
    """A value as one line of plain text in Markdown."""
    return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
