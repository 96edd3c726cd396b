import json
import math

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, jaccard_score, log_loss, r2_score

from automl_keras.data import CLASSIFICATION, Classification, DatasetInfo, MultiLabel, Regression, Task, task_from_dict
from automl_keras.errors import InvalidArgumentError

COUNT = 60
RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(0, 1.5, (COUNT, 4)).astype(np.float32)
WEIGHT = RNG.random(COUNT).astype(np.float32)
LABEL_WEIGHT = (0.4, 1.6, 1.0, 1.0)
TASKS: list[tuple[Task, np.ndarray]] = [
    (Classification(), RNG.integers(0, 4, COUNT).astype(np.int32)),
    (MultiLabel(), (RNG.random((COUNT, 4)) < 0.4).astype(np.float32)),
    (MultiLabel(LABEL_WEIGHT), (RNG.random((COUNT, 4)) < 0.4).astype(np.float32)),
    (Regression((3.0, -1.0, 100.0, 0.0), (2.0, 0.1, 7.0, 1.0)), RNG.normal(size=(COUNT, 4)).astype(np.float32)),
]
each_task = pytest.mark.parametrize(("task", "targets"), TASKS, ids=lambda value: getattr(value, "kind", ""))


def answers_of(task: Task, outputs: np.ndarray) -> np.ndarray:
    return np.asarray(task.output_layer()(tf.constant(outputs)))


@each_task
def test_losses_of_outputs_and_of_their_answers_are_the_same(task: Task, targets: np.ndarray) -> None:
    losses = task.losses(tf.constant(OUTPUTS), tf.constant(targets)).numpy()
    assert losses.shape == (COUNT,)
    np.testing.assert_allclose(losses, task.answer_losses(answers_of(task, OUTPUTS), targets), rtol=2e-4, atol=1e-5)


def test_losses_in_closed_form() -> None:
    (classes, codes), (labels, rows), (weighted, _), (values, wanted) = TASKS
    softmax = np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(axis=1, keepdims=True)
    assert np.mean(classes.answer_losses(softmax, codes)) == pytest.approx(log_loss(codes, softmax), rel=1e-5)
    sigmoid = 1 / (1 + np.exp(-OUTPUTS.astype(np.float64)))
    alone = [log_loss(rows[:, label], sigmoid[:, label]) for label in range(4)]  # each label a task of its own
    assert np.mean(labels.losses(OUTPUTS, rows)) == pytest.approx(np.mean(alone), rel=1e-5)
    assert np.mean(weighted.losses(OUTPUTS, rows)) == pytest.approx(np.average(alone, weights=LABEL_WEIGHT), rel=1e-5)
    assert np.mean(values.losses(OUTPUTS, wanted)) == pytest.approx(np.mean((OUTPUTS - wanted) ** 2), rel=1e-5)


def test_labels_do_not_disturb_each_other() -> None:
    labels, rows = TASKS[1]
    with tf.GradientTape() as tape:
        outputs = tf.Variable(OUTPUTS)
        loss = tf.reduce_sum(labels.losses(outputs, rows))
    # Of one label: the gradient of a logistic regression, here a quarter of the loss.
    np.testing.assert_allclose(tape.gradient(loss, outputs), (1 / (1 + np.exp(-OUTPUTS)) - rows) / 4, atol=1e-6)


@each_task
def test_what_is_taught_is_learnt_best_by_the_same_outputs(task: Task, targets: np.ndarray) -> None:
    taught = task.activated(tf.constant(OUTPUTS))
    at_teacher = task.soft_losses(tf.constant(OUTPUTS), taught).numpy()
    for other in (OUTPUTS * [1.0, 0.5, 1.0, 2.0], OUTPUTS * 1.2, OUTPUTS[::-1]):
        losses = task.soft_losses(tf.constant(other, tf.float32), taught).numpy()
        assert (losses >= at_teacher - 1e-5).all() and losses.mean() > at_teacher.mean() + 1e-3


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_scores_are_those_of_scikit_learn(weight: np.ndarray | None) -> None:
    (classes, codes), (labels, rows), _, (values, wanted) = TASKS
    expected = accuracy_score(codes, OUTPUTS.argmax(axis=1), sample_weight=weight)
    assert classes.score(OUTPUTS, codes, weight) == pytest.approx(expected)
    answered = OUTPUTS > 0
    known = (rows > 0).any(axis=1) | answered.any(axis=1)  # scikit-learn has no score of nothing among nothing
    some = None if weight is None else weight[known]
    expected = jaccard_score(rows[known], answered[known], average="samples", sample_weight=some)
    assert labels.score(OUTPUTS[known], rows[known], some) == pytest.approx(expected)
    near = (wanted + 0.5 * OUTPUTS).astype(np.float32)
    assert values.score(near, wanted, weight) == pytest.approx(r2_score(wanted, near, sample_weight=weight), abs=1e-6)


def test_scores_at_the_edges() -> None:
    nothing = np.zeros((3, 2), np.float32)
    assert MultiLabel().score(nothing - 1, nothing) == 1.0  # rightly no label
    assert MultiLabel().score(nothing + 1, nothing) == 0.0
    one_hot, answers = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)[[0, 1, 2, 2]] - 0.5
    assert MultiLabel().score(answers, one_hot) == Classification().score(answers, np.arange(4)) == 0.75
    values = Regression((0.0,), (1.0,))
    assert values.score(nothing[:, :1], nothing[:, :1]) == 1.0  # as scikit-learn has it
    assert values.score(nothing[:, :1] + 1, nothing[:, :1]) == 0.0


@each_task
@pytest.mark.parametrize("weight", [np.ones(COUNT, np.float32), WEIGHT, np.zeros(COUNT, np.float32)])
def test_scores_of_batches(task: Task, targets: np.ndarray, weight: np.ndarray) -> None:
    outputs = (targets + 0.3 * OUTPUTS).astype(np.float32) if isinstance(task, Regression) else OUTPUTS
    expected = task.score(outputs, targets, weight) if weight.any() else 0.0
    found = task.batch_score(tf.constant(outputs), tf.constant(targets), tf.constant(weight))
    assert float(found) == pytest.approx(expected, abs=1e-5)
    if isinstance(task, Regression):  # rewards are not negative
        assert float(task.batch_score(tf.constant(-9 * outputs), tf.constant(targets), tf.constant(weight))) == 0.0


@each_task
def test_answers_lead_back_to_outputs(task: Task, targets: np.ndarray) -> None:
    back = task.outputs_of(answers_of(task, OUTPUTS))
    assert task.agreement(back, OUTPUTS) == pytest.approx(1.0, abs=1e-6)
    assert task.score(back, targets) == pytest.approx(task.score(OUTPUTS, targets), abs=1e-5)
    assert task.agreement(-OUTPUTS, OUTPUTS) < 0.7


def test_agreement_of_values_is_in_units_of_their_variance() -> None:
    values, wanted = TASKS[3]
    assert values.agreement(wanted + 0.1, wanted) == pytest.approx(0.99, abs=1e-5)


def test_standard_errors() -> None:
    assert Classification().standard_error(0.9, 100) == pytest.approx(0.03)
    rng, count = np.random.default_rng(1), 300
    outputs = rng.normal(size=(4000, count))
    targets = outputs + 0.7 * rng.normal(size=outputs.shape)
    spread = np.square(targets - targets.mean(axis=1, keepdims=True)).sum(axis=1)
    scores = 1 - np.square(targets - outputs).sum(axis=1) / spread
    values = Regression((0.0,), (1.0,))
    assert values.standard_error(float(scores.mean()), count) == pytest.approx(scores.std(), rel=0.05)
    assert values.standard_error(-0.5, 10) == 0.0


def test_chance_needs_no_image() -> None:
    assert Classification().chance(np.array([0, 1, 1, 2])) == 0.5
    assert Classification().chance(np.array([0, 1, 1, 2]), np.array([3.0, 0.5, 0.5, 1.0])) == pytest.approx(0.6)
    rows = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], np.float32)
    constant = [MultiLabel().score(np.tile(np.array(answer) - 0.5, (4, 1)), rows) for answer in np.ndindex(2, 2, 2)]
    assert MultiLabel().chance(rows) == pytest.approx(max(constant))
    values, wanted = TASKS[3]
    mean = np.tile(wanted.mean(axis=0), (COUNT, 1))
    assert values.score(mean, wanted) == pytest.approx(values.chance(wanted), abs=1e-6)


def test_strata_are_the_rarest_labels() -> None:
    rows = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 0]], np.float32)
    assert MultiLabel().strata(np.repeat(rows, 2, axis=0)).tolist() == [2, 2, 1, 1, 3, 3, 0, 0, 2, 2]
    assert MultiLabel().strata(rows).tolist() == [2, 0, 0, 0, 2]  # what one image alone has cannot be divided
    assert not MultiLabel().strata(np.eye(40, dtype=np.float32)).any()
    assert Classification().strata(np.array([2, 0])).tolist() == [2, 0]
    assert not TASKS[3][0].strata(TASKS[3][1]).any()


@each_task
def test_a_task_survives_json(task: Task, targets: np.ndarray) -> None:
    assert task_from_dict(json.loads(json.dumps(task.to_dict()))) == task
    info = DatasetInfo((8, 8, 1), "uint8", (0.0,), (1.0,), (0.0, 1.0), (0, 1, 2, 3), 8, 2, task)
    assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info
    assert info.num_outputs == 4 and math.isfinite(task.standard_error(0.5, 10))


def test_what_is_not_said_is_classification() -> None:
    info = DatasetInfo((8, 8, 1), "uint8", (0.0,), (1.0,), (0.0, 1.0), (0, 1), 8, 2)
    before = {name: value for name, value in info.to_dict().items() if name != "task"}
    assert DatasetInfo.from_dict(before) == info and info.task == CLASSIFICATION
    with pytest.raises(InvalidArgumentError, match=r"one of .*Received: kind='ranking'"):
        task_from_dict({"kind": "ranking"})
