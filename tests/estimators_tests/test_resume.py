import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.estimators import fitting, searching
from automl_keras.estimators.finishing import Finisher
from automl_keras.estimators.journal import Journal
from automl_keras.search_space import Architecture
from automl_keras.training import CurvePoint

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]


class Killed(BaseException):
    """Passes whatever catches exceptions or Ctrl-C, as the end of a process does."""


def classifier(directory: Path, **settings: object) -> ImageClassifier:
    return ImageClassifier(directory=directory, seed=0, verbose=0, **settings)


def test_journal_adds_up_the_seconds(tmp_path: Path) -> None:
    journal = Journal(tmp_path, time.monotonic() - 10)
    journal.write(seed=3)
    later = Journal(tmp_path, time.monotonic() - 5)
    assert later.facts["seed"] == 3
    later.write()
    assert 15 <= Journal(tmp_path, time.monotonic()).facts["seconds"] < 16


def test_journal_keeps_a_training(tmp_path: Path) -> None:
    journal = Journal(tmp_path, time.monotonic())
    assert journal.training() is None
    weights = [np.arange(6.0).reshape(2, 3), np.ones(2, np.float32)]
    curve = (CurvePoint(3, 1.5, 0.1, 2.0, 0.01),)
    journal.keep_training(Architecture({"depth": 2}), 0.4, weights, curve)
    kept = journal.training()
    assert kept is not None
    assert (kept.architecture, kept.progress, kept.curve) == (Architecture({"depth": 2}), 0.4, curve)
    assert all(np.array_equal(a, b) for a, b in zip(kept.weights, weights, strict=True))
    journal.forget_training()
    assert journal.training() is None


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        pytest.param(fitting.Fitting, "_make_plan", marks=pytest.mark.slow),
        (searching.Searcher, "search"),
        pytest.param(Finisher, "train_and_finish", marks=pytest.mark.slow),
    ],
)
def test_killed_and_gone_on_with_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    whole = classifier(tmp_path / "whole", max_trials=4).fit(X, Y, epochs=2)

    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, kill)
        with pytest.raises(Killed):
            classifier(tmp_path / "parts", max_trials=4).fit(X, Y, epochs=2)
    resumed = classifier(tmp_path / "parts", max_trials=4).fit(X, Y, epochs=2)
    assert resumed.best_architecture_ == whole.best_architecture_
    assert [e.architecture for e in resumed.evaluations_] == [e.architecture for e in whole.evaluations_]
    assert [e.metrics for e in resumed.evaluations_] == [e.metrics for e in whole.evaluations_]
    assert np.array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def test_a_training_by_the_clock_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = fitting.Finisher.train_and_finish
    limits = []

    def kill_half_way(self: Finisher, architecture, model, recipe, limit, **settings):
        limits.append(limit)
        self.journal.keep_training(architecture, 0.75, model.get_weights())
        raise Killed

    monkeypatch.setattr(Finisher, "train_and_finish", kill_half_way)
    with pytest.raises(Killed):
        classifier(tmp_path, time_limit=60).fit(X, Y)

    def record(self: Finisher, architecture, model, recipe, limit, **settings):
        limits.append(limit)
        soon = replace(limit, deadline=time.monotonic() + 2.0)
        return trained(self, architecture, model, recipe, soon, **settings)

    monkeypatch.setattr(Finisher, "train_and_finish", record)
    facts = json.loads((tmp_path / "image_classifier" / "journal.json").read_text())
    assert facts["seconds"] > 1.0
    start = time.monotonic()
    resumed = classifier(tmp_path, time_limit=60).fit(X, Y)
    assert [limit.begin for limit in limits] == [0.0, 0.75]
    assert limits[1].deadline < start + 60 - facts["seconds"]
    assert resumed.plan_ == facts["plan"]
    assert len(resumed.evaluations_) == 2
    assert not (tmp_path / "image_classifier" / "training.npz").exists()


def test_seed_that_was_drawn_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    drawn = []
    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(fitting.Fitting, "run", kill)
            ImageClassifier(directory=tmp_path, verbose=0, max_trials=1).fit(X, Y, epochs=1)
        drawn.append(json.loads((tmp_path / "image_classifier" / "journal.json").read_text())["seed"])
    assert drawn[0] == drawn[1]
