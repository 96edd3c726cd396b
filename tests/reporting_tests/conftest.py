"""Results of one short fit, and larger ones that nobody has fitted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_keras import Budget, ImageClassifier
from automl_keras.data import DatasetInfo
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.reporting import Predictions, SearchResults, fit_code
from tests.reporting_tests.samples import LABELS, X, Y


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    classifier = ImageClassifier(
        budget=Budget(max_size_kb=400), max_trials=1, seed=3, verbose=0, directory=tmp_path_factory.mktemp("projects")
    )
    return classifier.fit(X, Y, epochs=1)


@pytest.fixture
def results(fitted: ImageClassifier) -> SearchResults:
    """The file of the fit, and 40 networks that a search with shared weights might have scored."""
    rng = np.random.default_rng(0)
    best = fitted.best_evaluation_
    searched = [
        Evaluation(
            best.architecture if index == 7 else {**best.architecture, "stage0_width": 100 + index},
            {"val_accuracy": accuracy},
            Cost(size_kb=10.0 + index, latency_ms=0.1 + index / 100, macs=1000 * index),
            "shared_weights",
        )
        for index, accuracy in enumerate(rng.uniform(0.7, 0.9, 40).tolist())
    ]
    searched = [replace(each, architecture=type(best.architecture)(each.architecture)) for each in searched]
    failed = Evaluation(best.architecture, {"val_accuracy": float("nan")}, source="file", error="<b>dead</b> & gone")
    return SearchResults(
        info=DatasetInfo((8, 8, 1), "float32", (4.9,), (6.0,), (0.0, 16.0), tuple(LABELS.tolist()), 160, 40),
        best=best,
        evaluations=[*fitted.evaluations_, failed, *searched],
        report=fitted.report_,
        file=Path(fitted.tflite_path_),
        stages=fitted.stages_,
        curves=fitted.training_curves_,
        plan=fitted.plan_,
        budget=Budget(max_size_kb=400),
        seed=3,
        code=fit_code("ImageClassifier", {"budget": Budget(max_size_kb=400), "seed": 3}, {"epochs": 1}),
    )


@pytest.fixture
def predictions() -> Predictions:
    """Answers to 300 images, most of them right."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 10, 300).astype(np.int32)
    logits = rng.normal(0.0, 1.0, (300, 10))
    logits[np.arange(300), codes] += 2.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(rng.uniform(0.0, 16.0, (300, 8, 8, 1)).astype(np.float32), codes, probabilities)
