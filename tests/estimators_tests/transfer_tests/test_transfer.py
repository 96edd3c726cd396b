import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.data import prepare_data
from automl_keras.errors import AutoMLError, InfeasibleBudgetError, InvalidArgumentError
from automl_keras.estimators.transfer.backbone import Backbone
from automl_keras.estimators.transfer.costs import BackboneNetworks
from automl_keras.estimators.transfer.fitting import TransferFitting
from automl_keras.export import TFLiteReport, export_int8
from automl_keras.export.flatbuffer import read
from automl_keras.export.inspection import params_and_macs

DIGITS = load_digits()
X, Y = DIGITS.images.astype(np.uint8), DIGITS.target
LATE = Y >= 5


def made_backbone(**settings):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return Backbone(keras.Model(image, x), **{"pixel_range": (0, 1), **settings})


def make(**settings):
    return ImageClassifier(**{"backbone": made_backbone(), "seed": 0, "verbose": 0, "max_trials": 2, **settings})


def test_a_fit_on_a_backbone_from_head_to_file_and_back(tmp_path):
    clf = make(directory=tmp_path, budget=Budget(max_size_kb=20)).fit(X[LATE][:120], Y[LATE][:120], epochs=2)
    assert clf.classes_.tolist() == [5, 6, 7, 8, 9]
    first, second = (row for row in clf.evaluations_ if row.source == "standalone")
    assert first.architecture["unfrozen"] == 0.0
    assert second.architecture["unfrozen"] == 1.0
    assert second.architecture["head_units"] == first.architecture["head_units"]
    best = max(first, second, key=lambda row: (row.metrics["val_accuracy"], -row.metrics["val_loss"]))
    assert clf.best_architecture_ == best.architecture
    assert isinstance(clf.report_, TFLiteReport)
    assert clf.report_.size_kb <= 20
    assert set(clf.report_.bits.values()) == {8}
    probabilities = clf.predict_proba(X[LATE][200:])
    again = make(directory=tmp_path, budget=Budget(max_size_kb=20)).fit(X[LATE][:120], Y[LATE][:120], epochs=2)
    assert again.evaluations_ == clf.evaluations_  # loaded, not fitted
    np.testing.assert_array_equal(
        ImageClassifier.load(tmp_path / "image_classifier").predict_proba(X[LATE][200:]), probabilities
    )
    with pytest.raises(AutoMLError, match="different backbone"):
        make(directory=tmp_path, budget=Budget(max_size_kb=20), backbone=made_backbone(unfrozen=())).fit(
            X[LATE][:120], Y[LATE][:120], epochs=2
        )


def test_the_cost_of_a_larger_head_is_predicted(tmp_path):
    data = prepare_data(X[LATE][:100], Y[LATE][:100], seed=0)
    networks = BackboneNetworks(made_backbone(), data.info, data.train.images, seed=0)
    architecture = {"head_units": 128, "dropout": 0.0, "unfrozen": 0.0}
    model, path = networks.build(architecture, seed=0), tmp_path / "model.tflite"
    for layer in model.layers[-3:]:  # biases of zeros would be left out of the file
        layer.set_weights([weight + 0.1 for weight in layer.get_weights()])
    export_int8(model, path, data.info, calibration_images=data.train.images, seed=0)
    cost = networks.cost(architecture)
    assert cost.size_kb == pytest.approx(path.stat().st_size / 1000, rel=0.03)
    assert (cost.params, cost.macs) == params_and_macs(read(path.read_bytes()))
    # 4 x 4 positions of 3 x 3 x 1 x 8 weights, 8 features, 128 units, 5 classes
    assert cost.macs == 16 * 72 + 8 * 128 + 128 * 5
    assert cost.params == 72 + 8 + 8 * 128 + 128 + 128 * 5 + 5
    assert networks.cost(networks.smallest).macs == 16 * 72 + 8 * 5


@pytest.mark.parametrize(
    ("settings", "fit", "error", "named"),
    [
        (
            {"budget": Budget(max_size_kb=2)},
            {},
            InfeasibleBudgetError,
            r"smallest head needs size_kb=\d.*max_size_kb=2",
        ),
        ({"budget": Budget(max_macs=1000)}, {}, InfeasibleBudgetError, "macs=1192.*max_macs=1000"),
        ({"refit": True}, {}, InvalidArgumentError, "refit=True"),
        ({"search_space": 3}, {}, AutoMLError, "search_space=3"),
        ({"quantization": "joint"}, {}, InvalidArgumentError, "joint"),
        ({"tuner": "enas"}, {}, InvalidArgumentError, "tuner='enas'"),
        ({"backbone": "mobilenet"}, {}, AutoMLError, "`backbone`.*mobilenet"),
        ({}, {"class_weight": "auto"}, InvalidArgumentError, "class_weight='auto'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_training(monkeypatch, tmp_path, settings, fit, error, named):
    monkeypatch.setattr(TransferFitting, "run", None)
    with pytest.raises(error, match=named):
        make(directory=tmp_path, **settings).fit(X[:60], Y[:60] % 5, **fit)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_fit_is_repeatable_and_goes_on_after_an_interrupt(tmp_path, monkeypatch):
    x, y = X[LATE][:120], Y[LATE][:120]
    settings = {"max_trials": 5, "augmentation": keras.layers.RandomRotation(0.05)}
    whole = make(directory=tmp_path / "whole", **settings).fit(x, y, epochs=2)
    trained, evaluate = [], TransferFitting._evaluate

    def interrupted(self, architecture, *arguments):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(architecture)
        return evaluate(self, architecture, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TransferFitting, "_evaluate", interrupted)
        patch.setattr(ImageClassifier, "_keep", None)  # the process dies before it can save what it has
        with pytest.raises(TypeError):
            make(directory=tmp_path / "parts", **settings).fit(x, y, epochs=2)
    parts = make(directory=tmp_path / "parts", **settings).fit(x, y, epochs=2)
    np.testing.assert_array_equal(parts.predict_proba(x), whole.predict_proba(x))
    metrics = [[row.metrics for row in clf.evaluations_ if row.source == "standalone"] for clf in (whole, parts)]
    assert metrics[0] == metrics[1]
    assert len(metrics[0]) == 5


@pytest.fixture(scope="module")
def mobile_net():
    """MobileNetV2 that has learnt a little, at 32x32 pixels in three channels: its activations have usual sizes."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, alpha=0.35, input_shape=(32, 32, 3), include_top=False)
    for layer in model.layers:
        layer.momentum = 0.9  # of BatchNorm: few steps follow
    classifier = keras.Sequential([model, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(2e-3), loss)
    pixels = np.repeat(X[:1200, ..., None], 3, axis=3) / 8.0 - 1
    classifier.fit(keras.ops.image.resize(pixels, (32, 32)), Y[:1200], epochs=6, batch_size=32, verbose=0)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("quantization", "agreement"), [("int8", 0.85), ("float16", 0.99), (None, 0.99)])
def test_a_network_of_keras_applications_becomes_a_file_for_grey_images(mobile_net, quantization, agreement):
    backbone = Backbone(mobile_net, pixel_range=(-1, 1), unfrozen=(0.3,))
    clf = make(backbone=backbone, quantization=quantization).fit(DIGITS.images[1200:1500], Y[1200:1500], epochs=2)
    assert clf.report_.agreement >= agreement
    assert clf.report_.accuracy > 0.6
    assert clf.export_model().input_shape == (None, 8, 8, 1)
    assert {row.architecture["unfrozen"] for row in clf.evaluations_} == {0.0, 0.3}


@pytest.mark.slow
def test_a_time_limit_is_kept_with_the_best_network_found():
    clf = make(max_trials=None, time_limit=30).fit(X[LATE][:200], Y[LATE][:200])
    rows = [row for row in clf.evaluations_ if row.source == "standalone"]
    best = max(rows, key=lambda row: (row.metrics["val_accuracy"], -row.metrics["val_loss"]))
    assert clf.best_architecture_ == best.architecture


@pytest.mark.slow
def test_a_pretrained_backbone_beats_training_from_scratch_on_few_images():
    many, rest = np.split(np.random.default_rng(0).permutation(len(X)), [900])
    pretrained = ImageClassifier(max_trials=1, seed=0, verbose=0).fit(X[many], Y[many], epochs=20).export_model()
    backbone = Backbone(keras.Model(pretrained.input, pretrained.get_layer("pool").output))
    few = np.concatenate([rest[Y[rest] == label][:3] for label in range(10)])
    test = np.setdiff1d(rest, few)
    on_backbone = make(backbone=backbone, max_trials=4).fit(X[few], Y[few])
    scratch = ImageClassifier(max_trials=1, seed=0, verbose=0).fit(X[few], Y[few])
    assert on_backbone.score(X[test], Y[test]) > scratch.score(X[test], Y[test]) + 0.03


@pytest.mark.slow
def test_a_budget_below_the_int8_file_is_kept_by_mixed_precision():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu") for width in (32, 64)]
    backbone = Backbone(keras.Sequential([keras.Input((8, 8, 1)), *layers]), pixel_range=(0, 1), unfrozen=())
    budget = Budget(max_size_kb=19)
    with pytest.raises(InfeasibleBudgetError, match="smallest head needs size_kb=2"):
        make(backbone=backbone, budget=budget).fit(X[:200], Y[:200], epochs=1)
    clf = make(backbone=backbone, budget=budget, quantization="mixed", max_trials=1).fit(X[:200], Y[:200], epochs=1)
    assert clf.report_.size_kb <= 19
    assert 4 in clf.report_.bits.values()
