"""`automl-keras quantize`: a smaller file of the same network, with fewer bits where they count least."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from automl_keras.cli.arguments import add_app, add_budget, add_out, budget_of, check_app, check_out, counts
from automl_keras.cli.command import Answer, Command
from automl_keras.cli.output import report_text


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("project", metavar="PROJECT", help="project folder of a finished fit")
    add_out(parser, required=True)
    add_app(parser)
    parser.add_argument("--search", default="ilp", metavar="NAME", help="ilp unless given; evolution, ddpg or random")
    parser.add_argument(
        "--bits",
        type=counts,
        metavar="N,N",
        help="widths to choose from, such as 4,8; unless given, 4 or 8",
    )
    add_budget(parser)


def _run(options: Namespace) -> Answer:
    check_out(options.out)
    check_app(options)
    budget = budget_of(options)
    from automl_keras.estimators import ImageClassifier
    from automl_keras.reporting import format_table

    classifier = ImageClassifier.load(options.project)
    report = classifier.quantize(
        budget,
        search=options.search,
        bits=options.bits,
        path=options.out,
        input=options.input,
        android_project=options.android_project,
    )
    table = format_table([{"layer": layer, "bits": bits} for layer, bits in report.bits.items()])
    text = f"{report_text(report)}\nOldest runtime: {report.min_runtime}\n\n{table}"
    return Answer({"report": report.to_dict()}, text)


COMMAND = Command(
    name="quantize",
    summary="choose the bits of each layer so that the file fits",
    examples=(
        "automl-keras quantize projects/photos --max-size-kb 60 --bits 4,8 --out small.tflite",
        "automl-keras quantize projects/photos --max-size-kb 45 --search evolution --out smaller.tflite --json",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
