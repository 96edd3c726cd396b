"""What a backbone is worth: few images of new classes, on features learnt from other classes, and from scratch.

    python benchmarks/transfer.py tuned-photos 0        one row, one seed
    python benchmarks/transfer.py --missing             every row and seed that RESULTS.md lacks
    python benchmarks/transfer.py --list                the names of the rows

Debian's package mate-backgrounds is needed for the photographs, those of benchmarks/carry_over.py for the characters.
"""

from command_line import Lines, main
from results_table import RESULTS, ResultsTable

PRETRAINING_SECONDS, SECONDS, KILOBYTES = 90, 60, 150
FEW = 10  # images of each new class
KINDS = ("digits", "photos", "characters")
WAYS = ("tuned", "frozen", "scratch")
ROWS = [f"{way}-{kind}" for kind in KINDS for way in WAYS]
COLUMNS = ("row", "seed", "new classes", "images", "file", "keras", "kB", "unfrozen", "date", "commit")
BEGIN, END = "<!-- transfer: begin -->", "<!-- transfer: end -->"
INTRODUCTION = f"""\
{BEGIN}
## A backbone for few images

`python benchmarks/transfer.py --missing`, one process after the other. An `ImageClassifier` learns half of the classes
from all their training images for {PRETRAINING_SECONDS} s; what is in front of its logits is the backbone. The rows
learn the other half of the classes from {FEW} images of each, for {SECONDS} s, in files of {KILOBYTES} kB at most:
`tuned` on the backbone, which is frozen or fine-tuned, whichever is better on a fifth of these images; `frozen` on the
frozen backbone; `scratch` without it. `file`: accuracy of the int8 file on all test images of these classes; `keras`:
of the Keras model; `unfrozen`: the share of the backbone that was fine-tuned.
"""
TABLE = ResultsTable(RESULTS, COLUMNS, before=INTRODUCTION + "\n", after=END)


def run(row: str, seed: int) -> Lines:
    """Run one row in this process."""
    import automl_keras  # noqa: F401, I001 - first, so that TensorFlow starts quietly for every row
    import numpy as np
    from datasets import DATASETS

    from automl_keras import Budget, ImageClassifier
    from automl_keras.export.runtime import TFLiteModel

    way, kind = row.split("-")
    data = DATASETS[kind]()
    rng = np.random.default_rng(seed)
    old = rng.permutation(np.unique(data.y_train))[: len(np.unique(data.y_train)) // 2]
    of_new = ~np.isin(data.y_train, old)
    x, y = data.x_train[of_new], data.y_train[of_new]
    few = np.concatenate([rng.choice(np.flatnonzero(y == label), FEW, replace=False) for label in np.unique(y)])
    settings = {"budget": Budget(max_size_kb=KILOBYTES), "time_limit": SECONDS, "seed": seed, "verbose": 0}
    if way != "scratch":
        model = _pretrained(data.x_train[~of_new], data.y_train[~of_new], seed)
        settings["backbone"] = _backbone(model, frozen=way == "frozen")
    clf = ImageClassifier(**settings).fit(x[few], y[few])
    of_new = ~np.isin(data.y_test, old)
    x_test, y_test = data.x_test[of_new], data.y_test[of_new]
    images = x_test[..., None] if x_test.ndim == 3 else x_test
    answers = clf.classes_[TFLiteModel(clf.tflite_path_.read_bytes()).predict(images.astype(np.float32)).argmax(axis=1)]
    result = {
        "new classes": len(clf.classes_),
        "images": len(few),
        "file": float(np.mean(answers == y_test)),
        "keras": clf.score(x_test, y_test),
        "kB": clf.report_.size_kb,
        "unfrozen": clf.best_architecture_.get("unfrozen"),
    }
    return {row: result}


def _pretrained(x, y, seed):
    """The network of a classifier of the old classes, small enough to leave room for a head."""
    from automl_keras import Budget, ImageClassifier

    clf = ImageClassifier(
        budget=Budget(max_size_kb=KILOBYTES - 30), time_limit=PRETRAINING_SECONDS, seed=seed, verbose=0
    )
    return clf.fit(x, y).export_model()


def _backbone(model, *, frozen: bool):
    import keras

    from automl_keras import Backbone

    features = keras.Model(model.input, model.get_layer("pool").output)
    return Backbone(features, unfrozen=() if frozen else (0.3, 1.0))


if __name__ == "__main__":
    main(__file__, __doc__, ROWS, run, TABLE)
