"""`automl-keras specialize`: a file for another device, from the supernet that a fit has trained."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from automl_keras.cli.arguments import add_app, add_budget, add_out, architecture_text, budget_of, check_app, check_out
from automl_keras.cli.command import Answer, Command
from automl_keras.cli.output import report_text


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("project", metavar="PROJECT", help="project folder of a fit that trained a supernet")
    add_out(parser, required=True)
    add_app(parser)
    add_budget(parser)


def _run(options: Namespace) -> Answer:
    check_out(options.out)
    check_app(options)
    budget = budget_of(options)
    from automl_keras.estimators import ImageClassifier

    special = ImageClassifier.load(options.project).specialize(budget)
    report = special.export_tflite(options.out, options.input, options.android_project)
    best = special.best_evaluation_
    facts = {"report": report.to_dict(), "architecture": best.architecture, "cost": best.cost.to_dict()}
    return Answer(facts, f"{report_text(report)}\nNetwork: {architecture_text(best.architecture)}")


COMMAND = Command(
    name="specialize",
    summary="cut a file for another device out of a project, without training",
    examples=(
        "automl-keras specialize projects/photos --max-size-kb 30 --out watch.tflite",
        "automl-keras specialize projects/photos --max-latency-ms 0.2 --max-ram-kb 100 --out fast.tflite --json",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
