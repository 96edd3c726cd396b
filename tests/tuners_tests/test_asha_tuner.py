from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest

from automl_keras.tuners.asha import ASHAOracle, ASHATuner


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).random((32, 4))
    return x, (x.sum(axis=1) > 2).astype(int)


@pytest.mark.parametrize("with_input", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["built", "deferred"])
def test_goes_on_where_the_parent_was(with_input: bool, data: Any, tmp_path: Path) -> None:
    begun: list[dict[str, Any]] = []

    class Spy(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            optimizer = self.model.optimizer
            begun.append({"weights": self.model.get_weights(), "iterations": int(optimizer.iterations), **self.params})
            if optimizer.built:
                begun[-1]["momenta"] = [np.abs(value).max() for value in optimizer.variables[2:]]

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            begun[-1].setdefault("first_epoch", epoch)

    def build_model(hp: Any) -> keras.Model:
        layers = [keras.layers.Dense(hp.Choice("units", [2, 3, 5])), keras.layers.Dense(2)]
        model = keras.Sequential([keras.layers.Input((4,)), *layers] if with_input else layers)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss)
        return model

    oracle = ASHAOracle("val_loss", 4, seed=0, eta=3, max_epochs=3)
    tuner = ASHATuner(oracle, build_model, directory=tmp_path)
    x, y = data
    tuner.search(x, y, validation_data=(x, y), batch_size=8, epochs=99, callbacks=[Spy()], verbose=0)
    assert [(run["first_epoch"], run["epochs"]) for run in begun] == [(0, 1)] * 3 + [(1, 3)]
    assert [run["iterations"] for run in begun] == [0, 0, 0, 4]
    assert len(begun[3]["momenta"]) == 8
    assert min(begun[3]["momenta"]) > 0
    parent = tuner.load_model(oracle.trials[oracle.trials["3"].hyperparameters.values["tuner/trial_id"]])
    for before, after in zip(parent.get_weights(), begun[3]["weights"], strict=True):
        np.testing.assert_array_equal(before, after)
    best = tuner.get_best_models()[0]
    assert best.evaluate(x, y, verbose=0) == pytest.approx(oracle.get_best_trials()[0].score, rel=1e-4)


def test_obeys_hyperband_and_oracles_without_epochs(data: Any, tmp_path: Path) -> None:
    runs: list[tuple[bool, int, int]] = []

    class HyperModel(keras_tuner.HyperModel):
        def build(self, hp: Any) -> keras.Model:
            model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(hp.Choice("units", [2, 3, 5]))])
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return model

        def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> float:
            runs.append(("tuner/trial_id" in hp.values, kwargs.get("initial_epoch", 0), kwargs["epochs"]))
            model.fit(*args, **kwargs)
            return 0.5

    hyperband = keras_tuner.oracles.HyperbandOracle(max_epochs=2, factor=2, seed=0)
    ASHATuner(hyperband, HyperModel(), directory=tmp_path / "hyperband").search(*data, verbose=0)
    assert runs[:3] == [(False, 0, 1), (False, 0, 1), (True, 1, 2)]
    runs.clear()
    random = keras_tuner.oracles.RandomSearchOracle(max_trials=1, seed=0)
    ASHATuner(random, HyperModel(), directory=tmp_path / "random").search(*data, epochs=2, verbose=0)
    assert runs == [(False, 0, 2)]
