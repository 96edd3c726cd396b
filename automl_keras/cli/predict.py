"""`automl-keras predict`: the labels of images."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from automl_keras.cli.command import Answer, Command
from automl_keras.cli.data import pictures


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a project folder, or a .tflite file that fit exported")
    parser.add_argument(
        "images",
        metavar="IMAGES",
        nargs="+",
        help="image files; folders, of which all images are taken; .npz files with the array x_test or x; "
        'or the word "digits"',
    )


def _run(options: Namespace) -> Answer:
    from automl_keras.cli.models import open_model
    from automl_keras.reporting import format_table

    model = open_model(options.model)
    rows: list[dict[str, Any]] = []
    for given in options.images:
        found = pictures(given, model.image_shape)
        names = iter(found.names)
        for block in model.probabilities(found.images, from_files=found.from_files):
            rows += [_row(next(names), model.labels, probabilities.tolist()) for probabilities in block]
    table = format_table(rows, columns=["image", "label", "probability"])
    return Answer({"model": options.model, "kind": model.kind, "predictions": rows}, table)


def _row(name: str, labels: tuple[Any, ...], probabilities: list[float]) -> dict[str, Any]:
    best = max(range(len(labels)), key=probabilities.__getitem__)
    return {
        "image": name,
        "label": labels[best],
        "probability": probabilities[best],
        "probabilities": dict(zip(labels, probabilities, strict=True)),
    }


COMMAND = Command(
    name="predict",
    summary="print the label of each image",
    examples=(
        "automl-keras predict model.tflite photos/cat/1.png photos/dog/",
        "automl-keras predict projects/photos photos/ --json",
        "automl-keras predict digits.tflite digits",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
