"""`automl-keras fit`: search, train, export and measure."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from automl_keras.cli.arguments import (
    DATA_HELP,
    add_app,
    add_budget,
    add_out,
    architecture_text,
    budget_of,
    check_app,
    check_out,
    duration,
)
from automl_keras.cli.command import DONE, INTERRUPTED, Answer, Command
from automl_keras.cli.data import TRAINING, labelled_data
from automl_keras.cli.interrupts import noticed_interrupts
from automl_keras.cli.output import report_text
from automl_keras.errors import InvalidArgumentError

if TYPE_CHECKING:
    from automl_keras.estimators import ImageClassifier
    from automl_keras.export import TFLiteReport
    from automl_keras.reporting.progress import Verbosity

VERBOSITY: dict[str, Verbosity] = {"auto": "auto", "0": 0, "1": 1, "2": 2}


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help=DATA_HELP.format(arrays="x_train and y_train, or x and y", digits="four fifths")
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="longer side of images of a folder: 96 at most unless given",
    )
    parser.add_argument("--balance-classes", action="store_true", help="let classes count the same, however small")
    add_out(parser, required=False)
    parser.add_argument(
        "--project",
        type=Path,
        metavar="DIR",
        help="folder to keep everything in; a search found there is gone on with",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the project that is in --project")
    add_app(parser)
    add_budget(parser)
    search = parser.add_argument_group("the search")
    search.add_argument(
        "--time-limit", type=duration, metavar="TIME", help="such as 90s, 5m or 1h; 10m if there is no --max-trials"
    )
    search.add_argument("--max-trials", type=int, metavar="N", help="most: number of networks to evaluate")
    search.add_argument("--tuner", default="auto", metavar="NAME", help='"auto", "once_for_all", "enas", ...')
    search.add_argument("--epochs", type=int, metavar="N", help="epochs of each training; planned unless given")
    search.add_argument(
        "--quantization",
        default="int8",
        metavar="NAME",
        help="types in the file: int8 unless given; mixed or joint, which search bits; float16; float32",
    )
    search.add_argument("--refit", action="store_true", help="let the finished network learn from all images at last")
    search.add_argument("--seed", type=int, metavar="N", help="with --max-trials and --epochs, makes it repeatable")
    parser.add_argument(
        "--verbose", choices=tuple(VERBOSITY), default="auto", help="0 for silence, 2 for a line for each trial"
    )


def _run(options: Namespace) -> Answer:
    if options.out is None and options.project is None:
        raise InvalidArgumentError("`--out` or `--project` must be given, else the result is lost. Received: neither")
    check_out(options.out)
    check_app(options)
    budget = budget_of(options)
    x, y = labelled_data(options.data, TRAINING)
    from automl_keras.estimators import ImageClassifier

    project = None if options.project is None else options.project.resolve()
    classifier = ImageClassifier(
        budget=budget,
        max_trials=options.max_trials,
        time_limit=options.time_limit,
        tuner=options.tuner,
        quantization=None if options.quantization == "float32" else options.quantization,
        refit=options.refit,
        directory=None if project is None else project.parent,
        project_name="image_classifier" if project is None else project.name,
        overwrite=options.overwrite,
        seed=options.seed,
        verbose=VERBOSITY[options.verbose],
    )
    with noticed_interrupts() as came:
        classifier.fit(
            x,
            y,
            epochs=options.epochs,
            class_weight="auto" if options.balance_classes else None,
            image_size=options.image_size,
        )
        report = _exported(classifier, options)
    return _answer(classifier, report, project, interrupted=bool(came))


def _exported(classifier: ImageClassifier, options: Namespace) -> TFLiteReport:
    """The report of the file, which is now where the user wants it; a second Ctrl-C does not keep it from there."""
    from automl_keras.estimators.interrupts import uninterrupted

    if options.out is None:
        return replace(classifier.report_, path=str(classifier.tflite_path_))
    reports: list[TFLiteReport] = []

    def export() -> None:
        reports.append(classifier.export_tflite(options.out, options.input, options.android_project))

    uninterrupted(export)
    return reports[-1]


def _answer(classifier: ImageClassifier, report: TFLiteReport, project: Path | None, *, interrupted: bool) -> Answer:
    facts = {
        "interrupted": interrupted,
        "report": report.to_dict(),
        "labels": classifier.classes_,
        "architecture": classifier.best_architecture_,
        "cost": classifier.best_evaluation_.cost.to_dict(),
        "num_evaluations": len(classifier.evaluations_),
        "seconds": sum(stage.seconds for stage in classifier.stages_),
        "project": project,
    }
    lines = ["Interrupted: this is the best model so far."] if interrupted else []
    lines += [report_text(report), f"Network: {architecture_text(classifier.best_architecture_)}"]
    if project is not None:
        lines.append(f"Project: {project}")
    return Answer(facts, "\n".join(lines), INTERRUPTED if interrupted else DONE)


COMMAND = Command(
    name="fit",
    summary="find, train, export and measure a classifier",
    examples=(
        "automl-keras fit digits --time-limit 1m --max-size-kb 60 --out digits.tflite",
        "automl-keras fit photos/ --time-limit 5m --max-size-kb 150 --out model.tflite --project projects/photos",
        "automl-keras fit photos/ --time-limit 5m --out model.tflite --input rgb_uint8 --android-project MyApp",
        "automl-keras fit data.npz --max-trials 20 --epochs 30 --seed 0 --max-latency-ms 0.5 --out model.tflite --json",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
