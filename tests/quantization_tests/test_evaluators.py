import math

import numpy as np
import pytest

from automl_keras.errors import ExportError, InvalidArchitectureError, InvalidDataError
from automl_keras.export import TFLiteModel
from automl_keras.quantization.evaluators import FakeQuantEvaluator, FileEvaluator, ProbabilityMetrics
from automl_keras.quantization.fake_quant import FakeQuantModel
from automl_keras.quantization.folding import fold_batch_norm
from automl_keras.quantization.policy_files import PolicyFiles
from automl_keras.search_space import Architecture
from tests.quantization_tests.networks import INFO, mbconv_network, pixels

IMAGES = pixels(50, seed=3)
CODES = np.random.default_rng(4).integers(0, 4, 50)
WEIGHTS = np.random.default_rng(5).uniform(0, 2, 50)


@pytest.fixture(scope="module")
def network():
    return mbconv_network()


@pytest.fixture(scope="module")
def files(network) -> PolicyFiles:
    return PolicyFiles(network, INFO, pixels(40), seed=0)


class PlantedFiles:
    """Those of `files`, but for one policy with a fault."""

    def __init__(self, files: PolicyFiles, policy: Architecture, fault: bytes | ExportError) -> None:
        self.space, self._files, self._policy, self._fault = files.space, files, policy, fault

    def export(self, policy: Architecture) -> bytes:
        if policy != self._policy:
            return self._files.export(policy)
        if isinstance(self._fault, ExportError):
            raise self._fault
        return self._fault


def test_metrics_are_those_of_the_formulas():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8]], np.float32)
    found = ProbabilityMetrics(np.zeros((3, 8, 8, 1)), np.array([0, 2, 2]), np.array([2.0, 1.0, 1.0]))(probabilities)
    assert found["val_accuracy"] == 0.75
    # A probability of 0 counts as 1e-7.
    assert found["val_loss"] == pytest.approx((2 * math.log(2) + math.log(1e7) - math.log(0.8)) / 4, rel=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_policy_is_judged_by_its_file(files, weights):
    policy = files.space.sample(np.random.default_rng(0))
    data = files.export(policy)
    probabilities = TFLiteModel(data).predict(IMAGES)
    hits = probabilities.argmax(axis=1) == CODES
    losses = -np.log(probabilities[np.arange(50), CODES])
    with FileEvaluator(files, IMAGES, CODES, weights) as evaluator:
        evaluation = evaluator.evaluate(policy)
    assert evaluation.architecture == policy
    assert (evaluation.source, evaluation.error) == ("file", None)
    assert evaluation.metrics["val_accuracy"] == pytest.approx(np.average(hits, weights=weights))
    assert evaluation.metrics["val_loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    assert evaluation.cost.size_kb == len(data) / 1000
    assert evaluation.cost.bit_ops == files.space.bit_ops(policy)


def test_what_is_no_file_fails_and_the_next_policy_is_evaluated(files):
    bad, good = files.space.default(), files.space.sample(np.random.default_rng(1))
    for fault, reason in ((b"nonsense", "LiteRT could not load the file"), (ExportError("dead layer"), "dead layer")):
        with FileEvaluator(PlantedFiles(files, bad, fault), IMAGES, CODES) as evaluator:
            failed = evaluator.evaluate(bad)
            assert failed.failed("val_accuracy")
            assert failed.error.startswith(reason)
            assert failed.cost.bit_ops == files.space.bit_ops(bad)
            assert not evaluator.evaluate(good).failed("val_accuracy")


@pytest.mark.slow
def test_a_prediction_is_that_of_the_fake_quantized_network(network, files):
    fake_quant = FakeQuantModel(fold_batch_norm(network))
    fake_quant.calibrate(pixels(40), seed=0, pixel_range=INFO.pixel_range)
    evaluator = FakeQuantEvaluator(fake_quant, files.space, IMAGES, CODES, WEIGHTS, predict_size=files.predict_size)
    policies = [files.space.sample(np.random.default_rng(seed)) for seed in range(2)]
    evaluations = [evaluator.evaluate(policy) for policy in policies]
    for policy, evaluation in zip(policies, evaluations, strict=True):
        assert (evaluation.source, evaluation.error) == ("predicted", None)
        fake_quant.set_policy(policy)
        expected = ProbabilityMetrics(IMAGES, CODES, WEIGHTS)(fake_quant.predict(IMAGES))
        assert evaluation.metrics == expected
        assert evaluation.cost.size_kb == files.predict_size(policy) / 1000
    assert evaluations[0].metrics != evaluations[1].metrics
    with FileEvaluator(files, IMAGES, CODES, WEIGHTS) as measured:
        loss = measured.evaluate(policies[0]).metrics["val_loss"]
    assert evaluations[0].metrics["val_loss"] == pytest.approx(loss, rel=0.05)


def test_predictions_that_are_not_finite_fail(network, files):
    fake_quant = FakeQuantModel(fold_batch_norm(network))
    for weight in fake_quant.model.trainable_weights:
        weight.assign(np.full(weight.shape, np.nan))
    evaluation = FakeQuantEvaluator(fake_quant, files.space, IMAGES, CODES).evaluate(files.space.default())
    assert evaluation.failed("val_loss")
    assert evaluation.error.startswith("Results must be finite probabilities")
    assert evaluation.cost.size_kb is None


def test_what_does_not_fit_is_refused(files):
    for codes, weights in ((CODES[:-1], None), (CODES, WEIGHTS[:-1]), (CODES, np.zeros(50)), (CODES[:0], None)):
        with pytest.raises(InvalidDataError, match="must be of one length, and the weights positive in sum"):
            FileEvaluator(files, IMAGES[: len(CODES)], codes, weights)
    with FileEvaluator(files, IMAGES, CODES) as evaluator, pytest.raises(InvalidArchitectureError):
        evaluator.evaluate(Architecture({"no such layer": 8}))
