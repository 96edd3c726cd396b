from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from automl_keras import ImageClassifier
from automl_keras.data import Dataset, prepare_data
from automl_keras.errors import InvalidArgumentError
from automl_keras.estimators import balancing
from automl_keras.estimators.balancing import balance_of, balanced, class_weights, probe_balance
from automl_keras.estimators.fitting import Fitting

CODES = np.array([0] * 80 + [1] * 15 + [2] * 5)


def test_weights_are_powers_of_the_rarity():
    assert class_weights(CODES, 3, 0.0).tolist() == [1, 1, 1]
    np.testing.assert_allclose(class_weights(CODES, 3, 1.0), [100 / 240, 100 / 45, 100 / 15], rtol=1e-6)
    np.testing.assert_allclose(class_weights(CODES, 3, 0.5) ** 2, class_weights(CODES, 3, 1.0), rtol=1e-6)
    # with power 1 all classes count the same
    np.testing.assert_allclose(class_weights(CODES, 3, 1.0) * np.bincount(CODES), 100 / 3, rtol=1e-6)
    assert class_weights(np.zeros(4, int), 2, 1.0).tolist() == [0.5, 1.0]


def test_weighted_accuracy_on_balanced_data_is_the_balanced_accuracy():
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 3, 100)
    images = np.zeros((100, 1, 1, 1), np.uint8)
    for weight in (None, rng.uniform(0.1, 2.0, 100).astype(np.float32)):
        data = balanced(Dataset(images, CODES, weight))
        found = np.average(predicted == CODES, weights=data.sample_weight)
        assert found == pytest.approx(balanced_accuracy_score(CODES, predicted, sample_weight=weight), abs=1e-6)
        assert data.sample_weight.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(("scores", "chosen"), [([0.5, 0.6, 0.7], 1.0), ([0.5, 0.7, 0.7], 0.5), ([0.7, 0.7, 0.6], 0.0)])
def test_of_equals_the_smallest_power_is_chosen(monkeypatch, scores, chosen):
    data = prepare_data(np.zeros((100, 2, 2), np.uint8), CODES, seed=0)
    trained = []

    def train(weighted):
        trained.append(weighted.class_weight)
        return SimpleNamespace(number=len(trained))

    monkeypatch.setattr(balancing, "validation_score", lambda model, sample: scores[model.number])
    probe = probe_balance(SimpleNamespace(number=0), train, data, data.validation)
    np.testing.assert_allclose(trained[0] ** 2, trained[1], rtol=1e-6)  # powers 0.5 and 1
    assert balance_of([probe]) == chosen
    assert list(probe.scores.values()) == scores


@pytest.mark.parametrize("arguments", [{"refit": True}, {"multi_label": True}])
def test_what_cannot_be_balanced_is_refused_before_any_training(monkeypatch, arguments):
    monkeypatch.setattr(Fitting, "run", None)
    y = np.eye(2, dtype=int)[np.arange(40) % 2] if "multi_label" in arguments else np.arange(40) % 2
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    with pytest.raises(InvalidArgumentError, match=r"`class_weight`.*'auto'"):
        ImageClassifier(verbose=0, seed=0, **arguments).fit(x, y, class_weight="auto")


def test_a_fit_measures_balanced_accuracy_and_weighs_what_the_final_network_learns_from(stand_ins, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [360, 40])
    x = rng.integers(0, 256, (400, 4, 4), dtype=np.uint8)
    seen = []
    original = Fitting._carry_out

    def carry_out(self, plan):
        seen.append((self.finisher.train, self.data.validation, balance_of(plan.probes)))
        original(self, plan)

    monkeypatch.setattr(Fitting, "_carry_out", carry_out)
    scores = iter([0.5, 0.8, 0.9])
    monkeypatch.setattr(balancing, "validation_score", lambda model, sample: next(scores))
    ImageClassifier(max_trials=1, seed=0, verbose=0).fit(x, y, epochs=1, class_weight="auto")
    [(train, validation, power)] = seen
    assert power == 1.0
    for data in (train, validation):
        sums = np.bincount(data.codes, data.sample_weight)
        assert sums[0] == pytest.approx(sums[1], rel=0.02)
