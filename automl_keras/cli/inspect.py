"""`automl-keras inspect`: what a `.tflite` file holds, and what is broken about it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from automl_keras.cli.command import BROKEN, DONE, Answer, Command
from automl_keras.errors import AutoMLError

SHOWN_LABELS = 20


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a .tflite file")


def _run(options: Namespace) -> Answer:
    from automl_keras.cli.tflite_file import read_bytes

    facts = {"path": options.file, **_inspected(read_bytes(options.file))}
    return Answer(facts, _text(facts), BROKEN if facts["problems"] else DONE)


def _inspected(data: bytes) -> dict[str, Any]:
    """Everything that can be read, and under "problems" which parts cannot and why."""
    from automl_keras.cli.file_facts import graph_facts, parsed, part_sizes, try_to_run
    from automl_keras.cli.tflite_file import archive_size, check_labels, metadata_bytes, parse_metadata, read_labels
    from automl_keras.data import Regression
    from automl_keras.export.metadata import MODEL_NAMES

    facts: dict[str, Any] = {"size_kb": len(data) / 1000}
    problems: list[dict[str, str]] = []

    def attempt(part: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except AutoMLError as error:
            problems.append({"part": part, "problem": str(error)})
            return None

    model = attempt("model", lambda: parsed(data))
    metadata = None
    if model is not None:
        facts |= graph_facts(model)
        attempt("runtime", lambda: try_to_run(data, model))
        metadata = attempt("metadata", lambda: parse_metadata(metadata_bytes(model)))
    labels = None
    if metadata is None or metadata.name != MODEL_NAMES[Regression.kind]:  # values have no labels
        labels = attempt("labels", lambda: read_labels(data, metadata.labels_file if metadata else None))
    if model is not None:
        facts["parts_kb"] = part_sizes(model, len(data), 0 if labels is None else archive_size(data))
        if labels is not None:
            attempt("labels", lambda: check_labels(labels, (facts["outputs"][0]["shape"] or [0])[-1]))
    return facts | {"metadata": metadata and asdict(metadata), "labels": labels, "problems": problems}


def _text(facts: dict[str, Any]) -> str:
    sections = [f"{facts['path']}: {facts['size_kb']:.1f} kB"]
    if "operations" in facts:
        sections += _model_sections(facts)
    if facts["metadata"] is not None:
        sections.append("\n".join(["Metadata", *(f"  {name}: {_listed(v)}" for name, v in facts["metadata"].items())]))
    if facts["labels"] is not None:
        more = f" and {len(facts['labels']) - SHOWN_LABELS} more" if len(facts["labels"]) > SHOWN_LABELS else ""
        sections.append(f"{len(facts['labels'])} labels: {', '.join(facts['labels'][:SHOWN_LABELS])}{more}")
    broken = [f"Broken: {problem['part']}. {problem['problem']}" for problem in facts["problems"]]
    return "\n\n".join([*sections, "\n".join(broken) or "Nothing is broken."])


def _model_sections(facts: dict[str, Any]) -> list[str]:
    from automl_keras.reporting import format_table

    sizes = ", ".join(f"{part} {size:.1f} kB" for part, size in facts["parts_kb"].items())
    ends = [
        f"{side}: {_listed(tensor['shape'])} {tensor['dtype']}"
        + (f", scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}" if tensor["scale"] else "")
        for side, tensor in (("Input", facts["inputs"][0]), ("Output", facts["outputs"][0]))
    ]
    needs = f"Activations need {facts['ram_kb']:.1f} kB at once. Oldest runtime: {facts['min_runtime']}"
    rows = [{**row, "input": _listed(row["input"]), "output": _listed(row["output"])} for row in facts["operations"]]
    return ["\n".join([f"Size: {sizes}", *ends, needs]), format_table(rows)]


def _listed(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


COMMAND = Command(
    name="inspect",
    summary="show what a .tflite file holds, and name what is broken about it",
    examples=("automl-keras inspect model.tflite", "automl-keras inspect model.tflite --json"),
    add_arguments=_add_arguments,
    run=_run,
)
