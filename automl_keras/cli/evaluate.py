"""`automl-keras evaluate`: how often a model is right, class by class."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from automl_keras.cli.arguments import DATA_HELP
from automl_keras.cli.command import Answer, Command
from automl_keras.cli.data import TEST, is_folder, labelled_data

if TYPE_CHECKING:
    import numpy as np

    from automl_keras.cli.models import OpenedModel
    from automl_keras.data import Images

SMALLEST = 1e-7  # probability that counts in the cross entropy, as Keras has it


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a project folder, or a .tflite file that fit exported")
    parser.add_argument(
        "data",
        metavar="DATA",
        help=DATA_HELP.format(arrays="x_test and y_test, or x and y", digits="the fifth that fit leaves out"),
    )


def _run(options: Namespace) -> Answer:
    from automl_keras.cli.models import open_model
    from automl_keras.reporting import format_table

    x, y = labelled_data(options.data, TEST)
    model = open_model(options.model)
    images, columns = _encoded(model, x, y)
    facts = {"model": options.model, "kind": model.kind, "data": options.data}
    facts |= _measured(model, images, columns, from_files=is_folder(options.data))
    network = "Keras network, float32" if model.kind == "keras" else "file, run by LiteRT"
    first = f"accuracy {facts['accuracy']:.4f}, loss {facts['loss']:.4f} on {facts['images']} images ({network})"
    return Answer(facts, f"{first}\n\n{format_table(facts['classes'])}")


def _encoded(model: OpenedModel, x: Any, y: Any) -> tuple[Images, np.ndarray]:
    """Images, and the column of the model's answers that is right for each.

    A file knows its labels as texts, so texts are compared: 7 is "7". One-hot rows stand for their column.
    """
    import numpy as np

    from automl_keras.data import LabelCodec
    from automl_keras.data.preparation import read_labelled

    if y is not None:
        y = np.asarray(y)
        codes = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.ravel()
        y = np.array([_text(label) for label in codes.tolist()])
    texts = np.array([_text(label) for label in model.labels])
    order = np.argsort(texts)
    data = read_labelled(x, y, None, LabelCodec(texts[order], texts.dtype), model.image_shape)
    return data.images, order[data.codes]


def _text(label: Any) -> str:
    return " ".join(str(label).split())


def _measured(model: OpenedModel, images: Images, columns: np.ndarray, *, from_files: bool) -> dict[str, Any]:
    import numpy as np

    probabilities = np.concatenate(list(model.probabilities(images, from_files=from_files)))
    hits = probabilities.argmax(axis=1) == columns
    right = probabilities[np.arange(len(columns)), columns]
    known = [(column, label) for column, label in enumerate(model.labels) if (columns == column).any()]
    return {
        "images": len(columns),
        "accuracy": float(hits.mean()),
        "loss": float(-np.log(np.maximum(right, SMALLEST)).mean()),
        "classes": [
            {
                "label": label,
                "images": int((columns == column).sum()),
                "accuracy": float(hits[columns == column].mean()),
            }
            for column, label in known
        ],
    }


COMMAND = Command(
    name="evaluate",
    summary="measure how often a model is right",
    examples=(
        "automl-keras evaluate digits.tflite digits",
        "automl-keras evaluate model.tflite photos_to_test/",
        "automl-keras evaluate projects/photos data.npz --json",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
