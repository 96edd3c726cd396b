"""`automl-keras report`: one HTML page about a fit, and its model card."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from automl_keras.cli.arguments import DATA_HELP, check_out
from automl_keras.cli.command import Answer, Command
from automl_keras.cli.data import TEST, labelled_data


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("project", metavar="PROJECT", help="the folder of a finished fit")
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page; report.html unless given")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="for mistakes, confusion and calibration: "
        + DATA_HELP.format(arrays="x_test and y_test, or x and y", digits="the fifth that fit leaves out"),
    )


def _run(options: Namespace) -> Answer:
    check_out(Path(options.out))
    from automl_keras.estimators import ImageClassifier

    classifier = ImageClassifier.load(options.project)
    x, y = (None, None) if options.data is None else labelled_data(options.data, TEST)
    classifier.report(options.out, x, y)
    page = Path(options.out)
    card = page.with_suffix(".md")
    return Answer({"page": str(page), "model_card": str(card)}, f"{page} and the model card {card}")


COMMAND = Command(
    name="report",
    summary="write a page about a fit",
    examples=(
        "automl-keras report projects/photos",
        "automl-keras report projects/photos --data photos_to_test/ --out photos.html",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
