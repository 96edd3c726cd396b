"""One training, many devices: `pareto_front` and `specialize`."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.errors import (
    InfeasibleBudgetError,
    InvalidArgumentError,
    InvalidDataError,
    InvalidTypeError,
    NotFittedError,
    SearchError,
)
from automl_keras.estimators import devices
from automl_keras.evaluation import CostPredictor
from automl_keras.export import TFLiteModel

DIGITS = load_digits()
X, Y = DIGITS.images[:600], DIGITS.target[:600]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    classifier = ImageClassifier(
        budget=Budget(max_size_kb=60), max_trials=8, seed=0, verbose=0, directory=tmp_path_factory.mktemp("projects")
    )
    return classifier.fit(X, Y, epochs=8, batch_size=32)


@pytest.mark.parametrize("metric", ["size_kb", "macs"])
def test_a_front_has_nothing_that_is_beaten(fitted: ImageClassifier, metric: str) -> None:
    front = fitted.pareto_front(metric, max_trials=6)
    costs = [getattr(evaluation.cost, metric) for evaluation in front]
    accuracies = [evaluation.metrics["val_accuracy"] for evaluation in front]
    assert {evaluation.source for evaluation in front} == {"shared_weights"}
    assert len(front) > 1 and costs == sorted(costs) and accuracies == sorted(accuracies)
    assert len(set(costs)) == len(set(accuracies)) == len(front)


def test_specialized_files_keep_their_budgets(fitted: ImageClassifier, tmp_path: Path) -> None:
    before = fitted.predict_proba(X[:20])
    for kilobytes in (18, 35):
        special = fitted.specialize(Budget(max_size_kb=kilobytes))
        report = special.export_tflite(tmp_path / "model.tflite")
        assert (tmp_path / "model.tflite").stat().st_size == report.size_kb * 1000 <= 1000 * kilobytes
        assert special.budget == Budget(max_size_kb=kilobytes)
        assert special.leaderboard()[0]["source"] == "file"
        answers = TFLiteModel(tmp_path / "model.tflite").predict(X[..., None]).argmax(axis=1)
        assert np.mean(answers == special.predict(X)) > 0.9
        assert special.score(X, Y) > 0.3  # of a handful of epochs
    assert np.array_equal(fitted.predict_proba(X[:20]), before)


def test_a_loaded_project_does_the_same(fitted: ImageClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "saved")
    loaded = [ImageClassifier.load(tmp_path / "saved"), ImageClassifier.load(tmp_path / "saved")]
    specials = [each.specialize(Budget(max_size_kb=25)) for each in loaded]
    assert specials[0].best_architecture_ == specials[1].best_architecture_
    assert np.array_equal(specials[0].predict_proba(X[:50]), specials[1].predict_proba(X[:50]))
    specials[0].save(tmp_path / "special")
    again = ImageClassifier.load(tmp_path / "special")
    assert np.array_equal(again.predict_proba(X[:50]), specials[0].predict_proba(X[:50]))
    assert again.specialize(Budget(max_size_kb=20)).report_.size_kb <= 20


@pytest.mark.slow
def test_fine_tuning_trains(fitted: ImageClassifier) -> None:
    plain = fitted.specialize(Budget(max_size_kb=35))
    tuned = fitted.specialize(Budget(max_size_kb=35), fine_tune=3.0, x=X, y=Y)
    assert tuned.score(X, Y) > plain.score(X, Y)


def test_no_image_that_accuracy_is_measured_on_is_tuned_on(
    fitted: ImageClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, Any] = {}

    def train(model: object, images: np.ndarray, codes: np.ndarray, *arguments: object, **settings: Any) -> None:
        trained.update(images=images, codes=codes, **settings)

    monkeypatch.setattr(devices, "train_network", train)
    weights = np.arange(1.0, 601.0)
    fitted.specialize(Budget(max_size_kb=35), fine_tune=3.0, x=X, y=Y, sample_weight=weights)
    held_out = fitted._state.specializer.held_out.images  # type: ignore[union-attr]
    assert len(held_out) == 120 and len(trained["images"]) == 480
    assert not {image.tobytes() for image in held_out[:]} & {image.tobytes() for image in trained["images"]}
    assert trained["sample_weight"].mean() == pytest.approx(1.0) and np.ptp(trained["sample_weight"]) > 1
    with pytest.raises(InvalidDataError, match="did not validate on"):
        fitted.specialize(Budget(max_size_kb=35), fine_tune=3.0, x=held_out[:], y=Y[: len(held_out)])


def test_tight_budgets_are_kept_as_long_as_the_smallest_network_keeps_them(fitted: ImageClassifier) -> None:
    assert fitted._state.shared is not None
    space = fitted._state.shared.space
    smallest = CostPredictor(space, fitted._state.info)(space.extreme(largest=False)).size_kb  # type: ignore[attr-defined]
    tight = fitted.specialize(Budget(max_size_kb=1.03 * smallest))
    assert tight.report_.size_kb <= 1.03 * smallest
    with pytest.raises(InfeasibleBudgetError, match="smallest network of the supernet breaks the budget: size_kb"):
        fitted.specialize(Budget(max_size_kb=0.98 * smallest))


@pytest.mark.slow
def test_budgets_of_milliseconds(fitted: ImageClassifier) -> None:
    """Predicted by the table, then measured; nothing is trained for a device that is too slow."""
    front = fitted.pareto_front("latency_ms", max_trials=2)
    assert all((evaluation.cost.latency_ms or 0.0) > 0 for evaluation in front)
    generous = fitted.specialize(Budget(max_latency_ms=50.0))
    assert generous.report_.latency_ms <= 50.0
    for refused in (fitted.specialize, partial(fitted.scale_up, x=X, y=Y, seconds=1.0)):
        with pytest.raises(InfeasibleBudgetError):
            refused(Budget(max_latency_ms=1e-6))


@pytest.mark.slow
def test_a_save_over_another_leaves_nothing_of_it(fitted: ImageClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    fitted.scale_up(Budget(max_size_kb=120), X, Y, seconds=0.5).save(tmp_path)
    with pytest.raises(SearchError, match="trained a supernet"):
        ImageClassifier.load(tmp_path).specialize(Budget(max_size_kb=35))


@pytest.mark.slow
def test_a_network_is_scaled_up_as_far_as_the_budget_allows(fitted: ImageClassifier) -> None:
    small = fitted.best_evaluation_.cost
    large = fitted.scale_up(Budget(max_size_kb=160), X, Y, seconds=6.0)
    assert 1.5 * fitted.report_.size_kb < large.report_.size_kb <= 160
    assert large.best_evaluation_.cost.macs > 1.5 * small.macs  # type: ignore[operator]
    assert large.score(X, Y) > 0.5
    answers = TFLiteModel(large.tflite_path_).predict(X[..., None]).argmax(axis=1)
    assert np.mean(answers == large.predict(X)) > 0.9
    with pytest.raises(InfeasibleBudgetError):
        fitted.scale_up(Budget(max_size_kb=5), X, Y, seconds=1.0)
    with pytest.raises(InvalidArgumentError, match="needs a limit"):
        fitted.scale_up(Budget(), X, Y, seconds=1.0)
    with pytest.raises(InvalidDataError, match=r"images of shape \(8, 8, 1\)"):
        fitted.scale_up(Budget(max_size_kb=160), X[:, :7], Y, seconds=1.0)
    with pytest.raises(InvalidArgumentError, match="seconds=None"):
        fitted.scale_up(Budget(max_size_kb=160), X, Y, seconds=None)  # type: ignore[arg-type]


def test_what_cannot_be_done_is_refused(fitted: ImageClassifier) -> None:
    with pytest.raises(NotFittedError):
        ImageClassifier().pareto_front()
    with pytest.raises(InvalidArgumentError, match="metric='loss'"):
        fitted.pareto_front("loss")  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="budget=35"):
        fitted.specialize(35)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="fine_tune=2"):
        fitted.specialize(Budget(max_size_kb=35), fine_tune=2)
    with pytest.raises(InfeasibleBudgetError, match=r"max_size_kb.*5"):
        fitted.specialize(Budget(max_size_kb=5))


def test_without_a_supernet_there_is_nothing_to_ask() -> None:
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=0).fit(X[:200], Y[:200], epochs=1)
    with pytest.raises(SearchError, match="trained a supernet"):
        classifier.specialize(Budget(max_size_kb=35))
