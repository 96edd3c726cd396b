import json

import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import CLASSIFICATION, DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Decision, ImageSearchSpace, image_space
from automl_keras.supernet import Round, SupernetTrainer, make_supernet, shrinking_rounds
from automl_keras.supernet.shrinking import LATER_RATE
from automl_keras.training import recipe_space, weighted_loss

NAMES = [
    "full network",
    "elastic kernel",
    "elastic depth, phase 1",
    "elastic depth, phase 2",
    "elastic width, phase 1",
    "elastic width, phase 2",
]


@pytest.fixture(scope="module")
def trainer(info: DatasetInfo) -> SupernetTrainer:
    decisions = [
        Decision("full_resolution", (2,)),
        Decision("stage0_operation", ("mbconv",)),
        Decision("stage0_kernel", (3, 5)),
        Decision("stage0_expansion", (2, 4), parent=("stage0_operation", ("mbconv",))),
        Decision("stage0_depth", (1, 2)),
        Decision("stage0_width", (2, 4, 6)),
    ]
    space = ImageSearchSpace(decisions, image_shape=(8, 8, 1), num_classes=3, num_stages=1)
    supernet = make_supernet(space, info, kernel_transform=True)
    return SupernetTrainer(supernet, recipe_space().default(), batch_size=16)


def test_rounds_are_the_stages_of_the_paper() -> None:
    space = image_space((28, 28, 1), 10)
    rounds = shrinking_rounds(space, epochs=60.5, gradient_evaluations=1205)
    assert [planned.name for planned in rounds] == NAMES
    assert [planned.num_paths for planned in rounds] == [1, 1, 2, 2, 4, 4]
    # 180, 125, 25, 125, 25 and 125 epochs.
    assert [planned.epochs for planned in rounds] == pytest.approx([18, 12.5, 2.5, 12.5, 2.5, 12.5])
    assert [planned.gradient_evaluations for planned in rounds] == [180, 125, 50, 250, 100, 500]
    assert [planned.learning_rate_scale for planned in rounds] == [1.0, *[LATER_RATE] * 5]
    assert [planned.teacher for planned in rounds] == [False] + [True] * 5
    assert [planned.sort_channels for planned in rounds] == [False] * 4 + [True] * 2
    kept = [
        {name: planned.options[f"stage2_{name}"] for name in ("kernel", "depth", "expansion")} for planned in rounds
    ]
    assert [options["kernel"] for options in kept] == [(5,)] + [(5, 3)] * 5
    assert [options["depth"] for options in kept] == [(3,), (3,), (3, 2)] + [(3, 2, 1)] * 3
    assert [options["expansion"] for options in kept] == [(4,)] * 5 + [(4, 2)]
    assert [planned.options["stage0_width"] for planned in rounds] == [(32,)] * 4 + [(32, 24), (32, 24, 16, 8)]
    assert space.restrict(rounds[-1].options) == space
    assert space.restrict(rounds[0].options).size == 3 * 3**3  # resolutions and operations are open from the start


def test_seconds_follow_the_number_of_gradients() -> None:
    rounds = shrinking_rounds(image_space((28, 28, 1), 10), seconds=1205.0)
    assert [planned.seconds for planned in rounds] == pytest.approx([180, 125, 50, 250, 100, 500])
    with pytest.raises(InvalidArgumentError, match="total"):
        shrinking_rounds(image_space((28, 28, 1), 10))


def test_stages_that_the_space_does_not_have_are_left_out() -> None:
    space = image_space((28, 28, 1), 10)
    fixed = space.restrict(
        {f"stage{s}_kernel": (3,) for s in range(3)}
        | {f"stage{s}_depth": (1, 2) for s in range(3)}
        | {f"stage{s}_width": (16, 32) for s in range(3)}
    )
    rounds = shrinking_rounds(fixed, epochs=10)
    assert [planned.name for planned in rounds] == [NAMES[0], NAMES[3], NAMES[5]]
    assert sum(planned.epochs for planned in rounds) == pytest.approx(10)


def test_rounds_are_json_both_ways() -> None:
    for planned in (*shrinking_rounds(image_space((28, 28, 1), 10), epochs=3, seconds=4), Round("fair", epochs=1)):
        assert Round.from_dict(json.loads(json.dumps(planned.to_dict()))) == planned
    with pytest.raises(TypeError, match="pace"):
        Round.from_dict({"sampler": "uniform", "pace": 1})


def test_the_first_limit_ends_a_round() -> None:
    assert Round("uniform", gradient_evaluations=103).limit(1000, 100, num_paths=4).steps == 25
    assert Round("uniform", epochs=2, gradient_evaluations=103).limit(1000, 100, num_paths=4).steps == 20
    assert Round("uniform", gradient_evaluations=2).limit(1000, 100, num_paths=4).steps == 1


def test_a_round_draws_from_its_options_in_codes_of_the_whole_space(elastic_space: ImageSearchSpace) -> None:
    planned = Round("uniform", options={"stage0_kernel": [7], "stage0_width": [4, 6]}, num_paths=3)
    sampler = planned.make_sampler(elastic_space, seed=0)
    paths = [path for step in range(20) for path in sampler.draw(step)]
    codes = np.stack([elastic_space.encode(path) for path in paths])
    assert len(paths) == 60
    assert set(codes[:, elastic_space.names.index("stage0_kernel")]) == {2}
    assert set(codes[:, elastic_space.names.index("stage0_width")]) == {1, 2}
    assert set(codes[:, elastic_space.names.index("stage1_width")]) == {0, 1, 2}
    with pytest.raises(InvalidArgumentError, match="stage0_kernel"):
        Round("uniform", options={"stage0_kernel": (9,)}).make_sampler(elastic_space, seed=0)


def test_a_teacher_adds_its_cross_entropy_to_every_path(
    trainer: SupernetTrainer, images: np.ndarray, codes: np.ndarray
) -> None:
    supernet, space = trainer.supernet, trainer.supernet.space
    rng = np.random.default_rng(0)
    paths = tf.constant(np.stack([space.encode(space.sample(rng)) for _ in range(2)]))
    batch, targets = tf.cast(images[:16], tf.float32), tf.constant(codes[:16])
    weight = tf.constant(rng.random(16), tf.float32)
    taught = tf.nn.softmax(tf.constant(rng.normal(size=(16, 3)), tf.float32))
    found, _ = trainer.gradients(batch, targets, weight, paths, tf.constant(False), taught)
    with tf.GradientTape() as tape:
        loss = 0.0
        for path in paths:
            logits = supernet.forward(batch, path, "train")
            soft = -tf.reduce_sum(taught * tf.nn.log_softmax(logits), axis=1)
            loss += weighted_loss(CLASSIFICATION, logits, targets, weight) + tf.reduce_mean(weight * soft)
    expected = tape.gradient(loss, [v.value for v in supernet.trainable_variables])
    assert sum(gradient is not None for gradient in expected) > 15
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, 0.0 if other is None else tf.convert_to_tensor(other), atol=1e-4)


def test_all_stages_run_in_two_traced_graphs(
    trainer: SupernetTrainer, images: np.ndarray, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet = trainer.supernet
    space, traced = supernet.space, []
    forward = type(supernet).forward
    monkeypatch.setattr(type(supernet), "forward", lambda self, *a, **k: (traced.append(1), forward(self, *a, **k))[1])
    rounds = shrinking_rounds(space, gradient_evaluations=80)
    assert [planned.name for planned in rounds] == [NAMES[0], NAMES[1], NAMES[3], NAMES[4], NAMES[5]]
    with pytest.raises(InvalidArgumentError, match="teacher=None"):
        trainer.train_round(images, codes, rounds[1], number=1, previous=rounds[0])
    teacher, previous, counts, gradients = None, None, [], trainer.gradient_evaluations
    for number, planned in enumerate(rounds):
        trainer.train_round(images, codes, planned, number=number, previous=previous, teacher=teacher)
        if teacher is None:
            teacher = supernet.subnet(space.extreme(largest=True))
            learnt = teacher.get_weights()
        counts.append(len(traced))
        previous = planned
    assert counts[0] > 0 and counts[1:] == [2 * counts[0]] * 4
    done = trainer.gradient_evaluations - gradients
    wanted = [planned.gradient_evaluations // planned.num_paths * planned.num_paths for planned in rounds]
    assert done == sum(wanted)
    assert all(np.array_equal(a, b) for a, b in zip(learnt, teacher.get_weights(), strict=True))
