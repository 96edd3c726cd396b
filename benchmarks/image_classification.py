"""Accuracy of the exported file at equal wall-clock: ours, no search, a random architecture, an expert's network.

    python benchmarks/image_classification.py ours-fashion_10k-60 0     one row, one seed
    python benchmarks/image_classification.py --missing                 every row and seed that RESULTS.md lacks
    python benchmarks/image_classification.py --list                    the names of the rows

Every run has a process of its own. A finished run is appended to RESULTS.md, with date and commit.
"""

import argparse
import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCHMARKS))
RESULTS = BENCHMARKS / "RESULTS.md"
SEEDS = (0, 1, 2)
TASKS = {"fashion_10k-60": (60, 120), "fashion_10k-300": (300, 120), "digits-30": (30, 65)}  # seconds, kB
RESERVE_SECONDS = 5.0  # of the baselines, for export and measurement
EXPERT_EPOCHS = 30


def run_ours(data: Any, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """`ImageClassifier` as a user calls it."""
    from automl_keras import Budget, ImageClassifier
    from automl_keras.export import TFLiteModel

    classifier = ImageClassifier(budget=Budget(max_size_kb=kilobytes), time_limit=seconds, seed=seed, verbose=0)
    start = time.monotonic()
    classifier.fit(data.x_train, data.y_train)
    took = time.monotonic() - start
    peak = _peak_gigabytes()
    with tempfile.TemporaryDirectory() as folder:
        report = classifier.export_tflite(Path(folder) / "model.tflite")
        images = data.x_test.reshape(-1, *classifier.export_model().input_shape[1:])
        probabilities = TFLiteModel(Path(folder) / "model.tflite").predict(images)
    answers = classifier.classes_[probabilities.argmax(axis=1)]
    return {
        "seconds": took,
        "file": float((answers == data.y_test).mean()),
        "keras": classifier.score(data.x_test, data.y_test),
        "kB": report.size_kb,
        "latency ms": report.latency_ms,
        "networks": len(classifier.leaderboard()),
        "peak GB": peak,
    }


def run_no_search(data: Any, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """The best default network within the budget, trained on all data for the whole time."""
    return _train_one(data, seconds, kilobytes, seed, random_architecture=False)


def run_random(data: Any, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """A random architecture within the budget, trained on all data for the whole time."""
    return _train_one(data, seconds, kilobytes, seed, random_architecture=True)


def _train_one(data: Any, seconds: float, kilobytes: float, seed: int, *, random_architecture: bool) -> dict[str, Any]:
    import numpy as np

    from automl_keras import Budget
    from automl_keras.data import prepare_data
    from automl_keras.estimators.default_network import default_network, feasibility
    from automl_keras.evaluation import CostPredictor
    from automl_keras.export import TFLiteModel, export_int8, measure_file
    from automl_keras.search_space import build_network, image_space
    from automl_keras.training import Limit, predict, recipe_space, train_network

    start = time.monotonic()
    prepared = prepare_data(data.x_train, data.y_train, seed=seed)
    images = np.concatenate([prepared.train.images, prepared.validation.images])
    codes = np.concatenate([prepared.train.codes, prepared.validation.codes])
    space = image_space(prepared.info.image_shape, prepared.info.num_classes)
    predict_cost = CostPredictor(space, prepared.info)
    feasible = feasibility(predict_cost, Budget(max_size_kb=kilobytes))
    architecture = default_network(predict_cost, feasible)
    if random_architecture:
        rng = np.random.default_rng(seed)
        architecture = next(a for a in iter(lambda: space.sample(rng), None) if feasible(a))
    model = build_network(space.network_spec(architecture), prepared.info, seed=seed)
    # What an expert would choose: no mirrored digits, cutout where the training is long.
    recipe = recipe_space().canonical({"flip": images.shape[1] > 8, "cutout": 0.18 if seconds >= 120 else 0.0})
    limit = Limit(deadline=start + seconds - RESERVE_SECONDS)
    train_network(model, images, codes, recipe, limit, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = export_int8(model, Path(folder) / "model.tflite", prepared.info, calibration_images=images, seed=seed)
        held_out = prepared.validation
        logits = predict(model, held_out.images)
        report = measure_file(path, held_out.images, held_out.codes, keras_predictions=logits)
        took = time.monotonic() - start
        peak = _peak_gigabytes()
        x_test = data.x_test.reshape(-1, *prepared.info.image_shape)
        codes_test = prepared.codec.encode(data.y_test)
        return {
            "seconds": took,
            "file": float((TFLiteModel(path).predict(x_test).argmax(axis=1) == codes_test).mean()),
            "keras": float((predict(model, x_test).argmax(axis=1) == codes_test).mean()),
            "kB": report.size_kb,
            "latency ms": report.latency_ms,
            "networks": 1,
            "peak GB": peak,
        }


def run_expert(data: Any, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """A residual network and a training as an expert writes them in plain Keras, in their own time."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    start = time.monotonic()
    keras.utils.set_random_seed(seed)
    x, x_test = (images.astype("float32")[..., None] / 127.5 - 1.0 for images in (data.x_train, data.x_test))

    def convolution(inputs: Any, filters: int, stride: int = 1) -> Any:
        outputs = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(inputs)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(outputs))

    inputs = keras.Input(x.shape[1:])
    outputs = convolution(inputs, 16, 2)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        outputs = convolution(outputs, filters, stride)
        outputs = layers.Add()([outputs, convolution(convolution(outputs, filters), filters)])
    outputs = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(outputs))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(outputs))

    def augment(images: Any, labels: Any) -> tuple[Any, Any]:
        padded = tf.pad(images, ((2, 2), (2, 2), (0, 0)), constant_values=-1.0)
        return tf.image.random_flip_left_right(tf.image.random_crop(padded, images.shape)), labels

    dataset = tf.data.Dataset.from_tensor_slices((x, data.y_train)).cache().shuffle(len(x), seed=seed)
    dataset = dataset.map(augment, num_parallel_calls=2).batch(128, drop_remainder=True).prefetch(2)
    steps = EXPERT_EPOCHS * (len(x) // 128)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=round(0.8 * steps), warmup_target=4e-3, warmup_steps=round(0.2 * steps)
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=0.02),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(dataset, epochs=EXPERT_EPOCHS, verbose=0)
    took = time.monotonic() - start
    answers = model.predict(x_test, batch_size=500, verbose=0).argmax(axis=1)
    return {
        "seconds": took,
        "file": None,
        "keras": float(np.mean(answers == data.y_test)),
        "kB": None,
        "latency ms": None,
        "networks": 1,
        "peak GB": _peak_gigabytes(),
    }


def _peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


SYSTEMS: dict[str, Callable[..., dict[str, Any]]] = {
    "ours": run_ours,
    "no_search": run_no_search,
    "random": run_random,
}
ROWS = ["expert-fashion_10k"] + [f"{system}-{task}" for task in TASKS for system in SYSTEMS]
COLUMNS = ("row", "seed", "file", "keras", "kB", "latency ms", "networks", "seconds", "peak GB", "date", "commit")


def run(row: str, seed: int) -> dict[str, Any]:
    """Run one row in this process."""
    from datasets import DATASETS

    import automl_keras  # noqa: F401 - so that TensorFlow starts quietly for every row

    system, dataset, *_ = row.split("-")
    data = DATASETS[dataset]()
    if system == "expert":
        return run_expert(data, 0.0, 0.0, seed)
    seconds, kilobytes = TASKS[row.removeprefix(f"{system}-")]
    return SYSTEMS[system](data, seconds, kilobytes, seed)


def finished() -> set[tuple[str, int]]:
    """The rows and seeds that RESULTS.md has."""
    cells = [line.split("|") for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    return {(c[1].strip(), int(c[2])) for c in cells if len(c) == len(COLUMNS) + 2 and c[1].strip() in ROWS}


def _revision() -> str:
    """The commit, marked if sources (not results) differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=BENCHMARKS, check=False)
        return done.stdout.strip()

    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", ":/", f":(exclude,top)benchmarks/{RESULTS.name}"
    )
    return (git("rev-parse", "--short", "HEAD") or "-") + ("-dirty" if changed else "")


def append(row: str, seed: int, result: dict[str, Any]) -> None:
    """Write one line into the table of RESULTS.md."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    values = {"row": row, "seed": seed, **result, "date": date, "commit": _revision()}
    text = [f"{values[c]:.4g}" if isinstance(values[c], float) else str(values[c] or "-") for c in COLUMNS]
    text[1] = str(seed)
    with RESULTS.open("a") as file:
        file.write("| " + " | ".join(text) + " |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="?", choices=ROWS, metavar="ROW")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED")
    parser.add_argument("--missing", action="store_true", help="run what RESULTS.md lacks")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    options = parser.parse_args()
    if options.list:
        print("\n".join(ROWS))
    elif options.missing:
        for seed in SEEDS:
            for row in ROWS:
                if (row, seed) not in finished():
                    subprocess.run([sys.executable, __file__, row, str(seed)], check=True)
    elif options.row:
        result = run(options.row, options.seed)
        append(options.row, options.seed, result)
        print(options.row, options.seed, json.dumps(result))
    else:
        parser.print_help()


if __name__ == "__main__":
    main()
