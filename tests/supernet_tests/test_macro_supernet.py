import pickle
from pathlib import Path

import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.search_space import Architecture, MacroSearchSpace, macro_space
from automl_keras.supernet import MacroSupernet, SubnetScorer, SupernetTrainer, UniformSampler, make_supernet
from automl_keras.training import Limit, recipe_space


@pytest.fixture(scope="module")
def space() -> MacroSearchSpace:
    """Reductions after layers 0 and 1; layer 0 can be skipped to over one of them and over both."""
    operations = ("conv_3x3", "separable_conv_5x5", "average_pool_3x3", "max_pool_3x3")
    return macro_space((8, 8, 1), 3, num_layers=4, num_filters=4, operations=operations)


@pytest.fixture(scope="module")
def scorer(space: MacroSearchSpace, info: DatasetInfo, images: np.ndarray, codes: np.ndarray) -> SubnetScorer:
    return SubnetScorer(make_supernet(space, info, seed=0), images, images, codes)


def predict(scorer: SubnetScorer, images: np.ndarray) -> np.ndarray:
    return scorer.predict_batch(images).numpy()


def test_subnet_computes_what_the_supernet_computes(
    scorer: SubnetScorer, space: MacroSearchSpace, images: np.ndarray
) -> None:
    assert isinstance(scorer.supernet, MacroSupernet)
    rng = np.random.default_rng(0)
    for weight in scorer.supernet.trainable_variables:  # BatchNorms that have learnt
        weight.assign(weight + rng.normal(0.0, 0.1, weight.shape))
    for _ in range(12):
        architecture = space.sample(rng)
        scorer.calibrate(architecture)
        network = scorer.supernet.subnet(architecture)
        assert np.abs(network.predict_on_batch(images) - predict(scorer, images)).max() < 1e-5
    targets = [target.path for target, _ in scorer.supernet.shared(network, architecture)]
    assert sorted(targets) == sorted(weight.path for weight in network.weights)


def test_calibration_measures_every_batch_norm(
    scorer: SubnetScorer, space: MacroSearchSpace, images: np.ndarray
) -> None:
    supernet = scorer.supernet
    scorer.calibrate(space.canonical({f"layer{layer}_skip0": True for layer in (1, 2, 3)}))  # one batch of all images
    expected = supernet(images, training=True).numpy()  # with the statistics of the batch
    assert np.abs(predict(scorer, images) - expected).max() < 0.02 * np.abs(expected).max()


def test_subnet_is_the_same_after_save_and_load_and_pickle(
    scorer: SubnetScorer, space: MacroSearchSpace, info: DatasetInfo, images: np.ndarray, tmp_path: Path
) -> None:
    architecture = space.sample(np.random.default_rng(5))
    scorer.calibrate(architecture)
    scorer.supernet.save_weights(tmp_path / "a.weights.h5")
    loaded = make_supernet(space, info, seed=99)
    loaded.load_weights(tmp_path / "a.weights.h5")
    for other in (loaded, pickle.loads(pickle.dumps(scorer.supernet))):
        assert np.array_equal(other.architecture_code.numpy(), space.encode(architecture))
        difference = other.subnet(architecture).predict_on_batch(images) - predict(scorer, images)
        assert np.abs(difference).max() < 1e-5


def test_scoring_200_subnets_traces_nothing_new_and_changes_nothing(
    scorer: SubnetScorer, space: MacroSearchSpace
) -> None:
    rng = np.random.default_rng(1)
    before = scorer.supernet.get_weights()
    scores = {scorer.score(space.sample(rng)) for _ in range(200)}
    assert len(scores) > 5
    functions = (scorer.calibrate_batch, scorer.predict_batch)
    assert [function.experimental_get_tracing_count() for function in functions] == [1, 1]
    assert all(np.array_equal(a, b) for a, b in zip(before, scorer.supernet.get_weights(), strict=True))


@pytest.fixture(scope="module")
def trainer(info: DatasetInfo) -> SupernetTrainer:
    """One for all tests: it is traced once."""
    small = macro_space((8, 8, 1), 3, num_layers=4, num_filters=8, operations=("conv_3x3", "max_pool_3x3"))
    return SupernetTrainer(make_supernet(small, info), recipe_space().canonical({"optimizer": "muon"}), batch_size=16)


class FixedSampler:
    distill = False

    def __init__(self, *architectures: Architecture) -> None:
        self.architectures = list(architectures)
        self.num_paths = len(architectures)

    def draw(self, step: int) -> list[Architecture]:
        return self.architectures


def test_untaken_operations_and_reductions_do_not_move(
    trainer: SupernetTrainer, images: np.ndarray, codes: np.ndarray
) -> None:
    supernet, small = trainer.supernet, trainer.supernet.space
    everything = [
        small.canonical({f"layer{layer}_operation": operation for layer in range(4)} | {"layer2_skip0": True})
        for operation in small["layer0_operation"].options
    ]
    chain = small.canonical({"layer1_operation": "max_pool_3x3", "layer1_skip0": True})
    trainer.train(images, codes, FixedSampler(*everything), Limit(steps=3))  # every slot is warm now
    before = {key: [v.numpy() for v in group] for key, group in supernet.groups().items()}
    trainer.train(images, codes, FixedSampler(chain), Limit(steps=3))
    taken = {(layer, chain[f"layer{layer}_operation"]) for layer in range(4)}
    assert taken < set(before)
    for key, group in supernet.groups().items():
        moved = [not np.array_equal(v.numpy(), old) for v, old in zip(group, before[key], strict=True)]
        assert all(moved) if key in taken else not any(moved), key


def test_reductions_are_taken_by_the_skip_connections_over_them(info: DatasetInfo) -> None:
    six = macro_space((8, 8, 1), 3, num_layers=6, num_filters=2, operations=("conv_3x3",))  # reductions after 1, 3
    supernet = make_supernet(six, info)

    def taken(*skips: str) -> list[object]:
        code = six.encode(six.canonical({skip: True for skip in skips}))
        reductions = zip(supernet.groups(), supernet.taken(code), strict=True)
        return [key for key, is_taken in reductions if is_taken and isinstance(key[1], int)]  # type: ignore[index]

    assert taken() == taken("layer1_skip0", "layer3_skip2", "layer5_skip4", "layer4_skip3") == []
    assert taken("layer2_skip0") == [(1, 0)]
    assert taken("layer5_skip1", "layer4_skip2") == [(3, 1), (3, 2)]  # layer 1 itself leads over reduction 1
    assert taken("layer5_skip0") == [(1, 0), (3, 0)]


def test_uniform_training_learns(trainer: SupernetTrainer, images: np.ndarray) -> None:
    codes = np.arange(64, dtype=np.int32) % 3
    lit = images.copy()
    for image, code in zip(lit.reshape(64, -1), codes, strict=True):  # the class is the brightest third
        image[21 * code : 21 * code + 21] = 255
    space = trainer.supernet.space
    assert trainer.train(lit, codes, UniformSampler(space), Limit(steps=60)).steps == 60
    scorer = SubnetScorer(trainer.supernet, lit, lit, codes)
    rng = np.random.default_rng(0)
    assert np.mean([scorer.score(space.sample(rng)) for _ in range(10)]) > 0.7
