from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.search_space import ImageSearchSpace, image_space
from automl_keras.tuners import EvolutionOracle, EvolutionStrategy

INFO = DatasetInfo(
    image_shape=(8, 8, 1),
    input_dtype="float32",
    pixel_mean=(0.5,),
    pixel_std=(0.25,),
    pixel_range=(0.0, 1.0),
    classes=(0, 1),
    num_train=32,
    num_validation=32,
)


@pytest.fixture
def space() -> ImageSearchSpace:
    space = image_space(INFO.image_shape, INFO.num_classes)
    narrow = {f"stage{stage}_width": [space[f"stage{stage}_width"].options[0]] for stage in range(3)}
    shallow = {f"stage{stage}_depth": [1] for stage in range(3)}
    simple = {f"stage{stage}_operation": ["residual"] for stage in range(2)}
    return space.restrict({**narrow, **shallow, **simple})


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((32, 8, 8, 1), dtype=np.float32), np.arange(32) % 2


def test_search_interrupt_and_resume(
    space: ImageSearchSpace, data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = data

    def make_tuner() -> keras_tuner.Tuner:
        return keras_tuner.Tuner(
            EvolutionOracle(space=space, max_trials=2, seed=0),
            space.hypermodel(INFO),
            directory=tmp_path,
            project_name="plain",
            overwrite=False,
        )

    tuner = make_tuner()
    fit = tuner.hypermodel.fit

    def interrupted_fit(hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        if tuner.oracle.end_order:
            raise KeyboardInterrupt
        return fit(hp, model, *args, **kwargs)

    tuner.hypermodel.fit = interrupted_fit
    with pytest.raises(KeyboardInterrupt):
        tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)

    tuner = make_tuner()
    assert len(tuner.oracle.strategy.evaluations) == len(tuner.oracle.strategy.pending) == 1
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    proposals = EvolutionStrategy(space, seed=0).ask(2)
    assert [e.architecture for e in tuner.oracle.strategy.evaluations] == proposals

    best = tuner.oracle.strategy.best()
    assert tuner.get_best_hyperparameters()[0].values == best.architecture.to_dict()
    assert not any(name.startswith("nas/") for name in tuner.get_best_hyperparameters()[0].values)
    assert tuner.get_best_models()[0].output_shape == (None, 2)
    capsys.readouterr()
    tuner.results_summary()
    printed = capsys.readouterr().out
    assert "Trial 0 summary" in printed
    assert "Trial 1 summary" in printed
    assert f"Score: {best.metrics['val_accuracy']}" in printed
