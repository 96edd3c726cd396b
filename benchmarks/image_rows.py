"""Rows of `image_classification.py` that are trained by this package: ours, planned, no search, random."""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Data

RESERVE_SECONDS = 3.0  # of trainings without a search, for export and measurement


def run_ours(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """`ImageClassifier` as a user calls it."""
    return _fit(data, seconds, kilobytes, seed)


def run_planned(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """`ImageClassifier(max_trials=1)`: the network that its plan starts from, without a supernet."""
    return _fit(data, seconds, kilobytes, seed, max_trials=1)


def run_refit(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """`ImageClassifier(refit=True)`: at the end the network learns from all images."""
    return _fit(data, seconds, kilobytes, seed, refit=True)


def run_mixed(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """`ImageClassifier(quantization="mixed")`: first the network, then the bits of its layers."""
    return _fit(data, seconds, kilobytes, seed, quantization="mixed")


def run_joint(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """`ImageClassifier(quantization="joint")`: architecture and bits are searched together."""
    return _fit(data, seconds, kilobytes, seed, quantization="joint")


def _fit(data: Data, seconds: float, kilobytes: float, seed: int, **settings: Any) -> dict[str, Any]:
    from automl_keras import Budget, ImageClassifier
    from automl_keras.export import TFLiteModel

    budget = Budget(max_size_kb=kilobytes)
    classifier = ImageClassifier(budget=budget, time_limit=seconds, seed=seed, verbose=0, **settings)
    start = time.monotonic()
    classifier.fit(data.x_train, data.y_train)
    took = time.monotonic() - start
    peak = peak_gigabytes()
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


def run_no_search(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """The space's default network, scaled to the budget, trained on all data for the whole time."""
    return _train_one(data, seconds, kilobytes, seed, random_architecture=False)


def run_random(data: Data, seconds: float, kilobytes: float, seed: int) -> dict[str, Any]:
    """A random architecture within the budget, trained on all data for the whole time."""
    return _train_one(data, seconds, kilobytes, seed, random_architecture=True)


def _train_one(data: Data, seconds: float, kilobytes: float, seed: int, *, random_architecture: bool) -> dict[str, Any]:
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
    if not random_architecture:  # the resolution is a matter of the measured speed: that is our plan
        space = space.restrict({"full_resolution": (space["full_resolution"].default,)})
    predict_cost = CostPredictor(space, prepared.info)
    feasible = feasibility(predict_cost, Budget(max_size_kb=kilobytes))
    architecture = default_network(predict_cost, feasible)
    if random_architecture:
        rng = np.random.default_rng(seed)
        architecture = next(a for a in iter(lambda: space.sample(rng), None) if feasible(a))
    model = build_network(space.network_spec(architecture), prepared.info, seed=seed)
    # What an expert would choose: no mirrored digits, cutout where the training is long.
    recipe = recipe_space().canonical({"flip": data.may_flip, "cutout": 0.18 if seconds >= 120 else 0.0})
    limit = Limit(deadline=start + seconds - RESERVE_SECONDS)
    train_network(model, images, codes, recipe, limit, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = export_int8(model, Path(folder) / "model.tflite", prepared.info, calibration_images=images, seed=seed)
        held_out = prepared.validation
        logits = predict(model, held_out.images)
        report = measure_file(path, held_out.images, held_out.codes, keras_predictions=logits)
        took = time.monotonic() - start
        peak = peak_gigabytes()
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


def peak_gigabytes() -> float:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


SYSTEMS: dict[str, Callable[[Data, float, float, int], dict[str, Any]]] = {
    "ours": run_ours,
    "refit": run_refit,
    "mixed": run_mixed,
    "joint": run_joint,
    "planned": run_planned,
    "no_search": run_no_search,
    "random": run_random,
}
