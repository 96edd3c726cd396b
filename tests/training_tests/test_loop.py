import gc
import time

import keras
import numpy as np
import pytest

from automl_keras.data import CLASSIFICATION, DatasetInfo, ImageStore
from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import build_network, image_space
from automl_keras.training import (
    Limit,
    distillation_loss,
    loop,
    make_optimizer,
    one_cycle,
    recipe_space,
    train_network,
    weighted_loss,
)
from automl_keras.training.schedule import Progress

INFO = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 96, 32)
TINY = {"stage0_width": 8, "stage1_width": 8, "stage2_width": 8} | {f"stage{s}_depth": 1 for s in range(3)}


def tiny_network(seed: int = 0) -> keras.Model:
    return build_network(image_space((8, 8, 1), 2).network_spec(TINY), INFO, seed=seed)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Bright squares on the left or on the right."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 96).astype(np.int32)
    images = rng.integers(0, 100, (96, 8, 8, 1)).astype(np.uint8)
    for image, code in zip(images, codes, strict=True):
        image[2:6, 5 * code : 5 * code + 3] = 255
    return images, codes


def test_one_cycle_rises_and_falls() -> None:
    assert one_cycle(0.0) == 0.0 and one_cycle(0.15) == 1.0 and one_cycle(1.0) == pytest.approx(0.0)
    assert one_cycle(0.1, warmup=0.2) == pytest.approx(0.5) and one_cycle(0.6, warmup=0.2) == pytest.approx(0.5)


def test_progress_is_what_comes_first() -> None:
    assert Progress(Limit(steps=10)).at(5) == 0.5
    by_clock = Progress(Limit(steps=10**9, deadline=time.monotonic() + 100))
    assert by_clock.at(1, ahead=50) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InvalidArgumentError, match="steps=None, seconds=None"):
        Limit()


def test_training_learns(data: tuple[np.ndarray, np.ndarray]) -> None:
    images, codes = data
    model = tiny_network()
    seen: list[float] = []
    recipe = recipe_space().default()
    log = train_network(model, images, codes, recipe, Limit(steps=90), batch_size=32, on_progress=seen.append)
    assert (log.steps, log.epochs) == (90, 30.0)
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert np.mean(np.argmax(model.predict_on_batch(images), axis=1) == codes) > 0.95


def test_deadline_ends_training(data: tuple[np.ndarray, np.ndarray]) -> None:
    log = train_network(
        tiny_network(), *data, recipe_space().default(), Limit(deadline=time.monotonic() - 1.0), batch_size=32
    )
    assert log.steps == 0


def test_steps_and_seed_determine_the_weights(data: tuple[np.ndarray, np.ndarray]) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        model = tiny_network()
        train_network(model, *data, recipe_space().default(), Limit(steps=7), batch_size=32, seed=seed)
        return model.get_weights()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_large_data_is_trained_on_in_blocks(
    data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, codes = data
    store = ImageStore(images.shape[1:], images.dtype)
    store.append(images)
    weights = []
    for given, block_bytes in ((images, 10**9), (store.images(), 40 * images[0].nbytes)):
        monkeypatch.setattr(loop, "EPOCH_BYTES", block_bytes)
        monkeypatch.setattr(loop, "BLOCK_BYTES", block_bytes)
        model = tiny_network()
        log = train_network(model, given, codes, recipe_space().default(), Limit(steps=7), batch_size=32)
        assert log.epochs == 7 / 3
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_images_without_weight_teach_nothing(data: tuple[np.ndarray, np.ndarray]) -> None:
    images, codes = data
    wrong = np.arange(96) % 3 > 0  # two in three
    labels = np.where(wrong, 1 - codes, codes)
    model = tiny_network()
    weight = np.where(wrong, 0.0, 3.0).astype(np.float32)
    train_network(model, images, labels, recipe_space().default(), Limit(steps=90), sample_weight=weight, batch_size=32)
    assert np.mean(np.argmax(model.predict_on_batch(images), axis=1) == codes) > 0.95


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_no_graph_of_a_training_is_left_behind(data: tuple[np.ndarray, np.ndarray], optimizer: str) -> None:
    def graphs() -> int:
        gc.collect()
        return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())

    before = graphs()
    recipe = {**recipe_space().default(), "optimizer": optimizer}
    train_network(tiny_network(), *data, recipe, Limit(steps=1), batch_size=32)
    assert graphs() == before


def test_losses_are_weighted_means() -> None:
    rng = np.random.default_rng(0)
    logits, wanted = rng.normal(size=(2, 4, 5)).astype("float32")
    codes, weight = np.array([0, 2, 4, 1]), np.array([0.0, 1.0, 2.5, 0.5], np.float32)
    one = np.ones(1, np.float32)
    for loss, targets in ((weighted_loss, codes), (distillation_loss, wanted)):
        alone = [float(loss(CLASSIFICATION, logits[i : i + 1], targets[i : i + 1], one)) for i in range(4)]
        together = float(loss(CLASSIFICATION, logits, targets, weight))
        assert together == pytest.approx(np.dot(weight, alone) / 4, rel=1e-5)


def test_fewer_images_than_a_batch(data: tuple[np.ndarray, np.ndarray]) -> None:
    images, codes = data
    log = train_network(tiny_network(), images[:10], codes[:10], recipe_space().default(), Limit(steps=2))
    assert (log.steps, log.epochs) == (2, 2.0)


def test_a_student_follows_its_teacher(data: tuple[np.ndarray, np.ndarray]) -> None:
    images, codes = data
    teacher = tiny_network(seed=1)
    train_network(teacher, images, 1 - codes, recipe_space().default(), Limit(steps=60), batch_size=32)
    student = tiny_network(seed=2)
    train_network(student, images, codes, recipe_space().default(), Limit(steps=60), batch_size=32, teacher=teacher)
    # The teacher has learnt the opposite and weighs more than the labels.
    assert np.mean(np.argmax(student.predict_on_batch(images), axis=1) == 1 - codes) > 0.9


def test_distillation_loss_is_least_at_the_teachers_outputs() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    weight = np.ones(4, np.float32)
    at_teacher = float(distillation_loss(CLASSIFICATION, logits, logits, weight))
    for _ in range(5):
        noise = np.random.default_rng(1).normal(size=logits.shape).astype("float32")
        assert float(distillation_loss(CLASSIFICATION, logits + 0.3 * noise, logits, weight)) > at_teacher


def test_every_recipe_makes_an_optimizer() -> None:
    space = recipe_space()
    rates = {
        (recipe["optimizer"], recipe["learning_rate_scale"]): float(make_optimizer(recipe).learning_rate)
        for recipe in (space.sample(np.random.default_rng(i)) for i in range(40))
    }
    assert rates == {("muon", 1.0): pytest.approx(0.05), ("muon", 0.6): pytest.approx(0.03)} | {
        ("adamw", 1.0): pytest.approx(0.004),
        ("adamw", 0.6): pytest.approx(0.0024),
    }


def test_fused_twin_computes_the_same_in_training_and_evaluation(data: tuple[np.ndarray, np.ndarray]) -> None:
    from automl_keras.training.fused import fused_twin

    images = data[0].astype("float32")
    model = tiny_network()
    twin = fused_twin(model)
    for training in (True, False):
        assert np.allclose(model(images, training=training), twin(images, training=training), rtol=2e-3, atol=1e-3)
    # The first call has moved the statistics of both; n / (n - 1) is all that may differ.
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=2e-3, atol=1e-4)


def test_intervals_end_between_steps(data: tuple[np.ndarray, np.ndarray]) -> None:
    """However many steps a call makes, none of the next interval is made before the end of one is told."""
    images, codes = data
    made: list[int] = []
    ends: list[tuple[int, int]] = []

    def run_steps(*arguments: object) -> float:
        made.append(len(arguments[-1]))
        return 0.0

    training = loop.TrainingLoop(recipe_space().default(), run_steps, batch_size=8, seed=0)
    log = training.run(
        images,
        codes,
        Limit(steps=100),
        interval=7,
        on_interval=lambda number: ends.append((number, sum(made))),
    )
    assert ends == [(number, 7 * number) for number in range(1, 15)]
    assert log.steps == 100 and max(made) == 7
