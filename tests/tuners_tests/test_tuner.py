from pathlib import Path

import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import ImageSearchSpace, image_space
from automl_keras.supernet import Round, SubnetScorer, SupernetTrainer, make_supernet
from automl_keras.training import recipe_space
from automl_keras.tuners import EvolutionStrategy, RoundRunner, StrategyOracle, SupernetTuner

INFO = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 64, 64)
ROUNDS = (Round("largest", epochs=2), Round("sandwich", epochs=1))


@pytest.fixture(scope="module")
def space() -> ImageSearchSpace:
    space = image_space((8, 8, 1), 2)
    sizes = {f"stage{s}_width": (8, 16) for s in range(3)} | {f"stage{s}_depth": (1,) for s in range(3)}
    kinds = {f"stage{s}_operation": ("residual",) for s in range(3)} | {f"stage{s}_kernel": (3,) for s in range(3)}
    return space.restrict(sizes | kinds)


def make_tuner(
    space: ImageSearchSpace, data: Dataset, directory: Path, max_trials: int, seen: list[Evaluation] | None = None
) -> SupernetTuner:
    supernet = make_supernet(space, INFO, seed=0)
    return SupernetTuner(
        StrategyOracle(EvolutionStrategy(space, seed=0), max_trials=max_trials, rounds=2),
        runner=RoundRunner(SupernetTrainer(supernet, recipe_space().default(), batch_size=16), data, ROUNDS),
        scorer=SubnetScorer(supernet, data.images, data.images, data.codes),
        on_evaluation=None if seen is None else seen.append,
        directory=str(directory),
        project_name="search",
    )


@pytest.fixture(scope="module")
def searched(
    space: ImageSearchSpace, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SupernetTuner, list[Evaluation], Path]:
    directory = tmp_path_factory.mktemp("search")
    seen: list[Evaluation] = []
    tuner = make_tuner(space, data, directory, 5, seen)
    tuner.search(verbose=0)
    return tuner, seen, directory


def test_search_is_rounds_then_evaluations(searched: tuple[SupernetTuner, list[Evaluation], Path]) -> None:
    tuner, seen, _ = searched
    trials = [tuner.oracle.trials[trial_id] for trial_id in tuner.oracle.start_order]
    assert [trial.hyperparameters.values["nas/phase"] for trial in trials] == ["train"] * 2 + ["eval"] * 5
    assert len(seen) == 5 and all(e.source == "shared_weights" and e.generation == 2 for e in seen)
    assert max(e.metrics["val_accuracy"] for e in seen) > 0.9
    # The first is neither needed nor asked for.
    assert [tuner.generation_path(number).is_file() for number in (1, 2)] == [False, True]


def test_keras_tuners_interface_answers(
    searched: tuple[SupernetTuner, list[Evaluation], Path],
    space: ImageSearchSpace,
    data: Dataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tuner, seen, _ = searched
    best = max(seen, key=lambda e: e.metrics["val_accuracy"])
    values = tuner.get_best_hyperparameters()[0].values
    assert space.canonical({name: values[name] for name in space.names}) == best.architecture
    [model] = tuner.get_best_models()
    accuracy = np.mean(model.predict_on_batch(data.images).argmax(axis=1) == data.codes)
    assert accuracy == pytest.approx(best.metrics["val_accuracy"], abs=1 / 64)
    tuner.results_summary()
    assert "stage0_width" in capsys.readouterr().out


def test_search_goes_on_from_the_last_generation(
    searched: tuple[SupernetTuner, list[Evaluation], Path], space: ImageSearchSpace, data: Dataset, tmp_path: Path
) -> None:
    _, all_seen, _ = searched
    make_tuner(space, data, tmp_path, 2).search(verbose=0)
    seen: list[Evaluation] = []
    resumed = make_tuner(space, data, tmp_path, 5, seen)
    assert resumed.generation == 2
    resumed.search(verbose=0)
    pairs = [(e.architecture, e.metrics) for e in seen]
    assert pairs == [(e.architecture, e.metrics) for e in all_seen[2:]]


def test_no_trial_begins_after_the_deadline(space: ImageSearchSpace, data: Dataset, tmp_path: Path) -> None:
    tuner = make_tuner(space, data, tmp_path, 5)
    tuner.deadline = 0.0
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 2  # rounds have limits of their own


def test_rounds_must_fit_the_oracle(space: ImageSearchSpace, data: Dataset, tmp_path: Path) -> None:
    supernet = make_supernet(space, INFO)
    with pytest.raises(InvalidArgumentError, match="1 rounds"):
        SupernetTuner(
            StrategyOracle(EvolutionStrategy(space, seed=0), max_trials=5, rounds=2),
            runner=RoundRunner(SupernetTrainer(supernet, recipe_space().default()), data, ROUNDS[:1]),
            scorer=SubnetScorer(supernet, data.images, data.images, data.codes),
            directory=str(tmp_path),
        )
