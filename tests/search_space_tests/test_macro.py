import json
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError
from automl_keras.evaluation import network_cost
from automl_keras.search_space import (
    AddSpec,
    MacroSearchSpace,
    build_network,
    image_space,
    macro_space,
    network_space_from_dict,
)
from automl_keras.tuners.controller import Controller
from automl_keras.tuners.controller_steps import plan_steps

INFO = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1, 2), 10, 10)


def tiny(num_layers: int = 6, **settings: Any) -> MacroSearchSpace:
    return macro_space((8, 8, 1), 3, num_layers=num_layers, num_filters=4, **settings)


@pytest.mark.parametrize("num_layers", [3, 6, 12])
def test_number_of_decisions_is_that_of_the_paper(num_layers: int) -> None:
    space = tiny(num_layers)
    assert len(space.decisions) == num_layers + num_layers * (num_layers - 1) // 2
    assert space.size == 6**num_layers * 2 ** (num_layers * (num_layers - 1) // 2)


def test_defaults_are_as_documented() -> None:
    space = macro_space((28, 28, 1), 10)
    assert space.size == 1_528_823_808
    assert [layer.shape[0] for layer in space.network_spec({}).layers][:2] == [14, 14]


def test_controller_sees_skip_connections_as_such() -> None:
    space = tiny(5)
    steps = plan_steps(space)
    names = [[decision.name for decision in step.decisions] for step in steps if step.is_skip]
    assert names == [[f"layer{i}_skip{j}" for j in range(i)] for i in range(1, 5)]
    assert len(steps) == 5 + 4
    # The anchor of a layer is the state after its last decision: layer 0 has its operation alone.
    assert [step.anchors for step in steps if step.is_skip] == [[0], [0, 2], [0, 2, 4], [0, 2, 4, 6]]
    controller = Controller(space, seed=0)
    sampled = controller.sample(np.random.default_rng(0), 50)
    assert len(set(sampled)) > 40 and all(space.canonical(architecture) == architecture for architecture in sampled)
    # Nearly uniform in the beginning: log(6) for each operation, log(2) for each skip connection.
    assert np.allclose(controller.log_prob(sampled), -5 * np.log(6) - 10 * np.log(2), atol=1.0)
    assert controller.skip_divergence(sampled).min() > 0


def test_controller_works_where_skip_connections_are_decided() -> None:
    space = tiny(3).restrict({"layer1_skip0": (True,), "layer0_operation": ("conv_3x3",)})
    sampled = Controller(space, seed=0).sample(np.random.default_rng(0), 20)
    assert all(a["layer1_skip0"] is True and a["layer0_operation"] == "conv_3x3" for a in sampled)


def test_every_option_changes_the_cost() -> None:
    space = tiny()
    base = space.canonical({"layer5_skip0": True})
    for decision in space.decisions:
        costs = [network_cost(space.network_spec({**base, decision.name: option})) for option in decision.options]
        assert (
            len({(cost.macs, cost.size_kb) for cost in costs}) >= len(decision.options) - 1
        )  # two pools cost the same


def test_skip_connections_are_halved_along_and_only_where_they_are_used() -> None:
    space = tiny()  # halved after layers 1 and 3
    names = [layer.spec.name for layer in space.network_spec({"layer1_skip0": True, "layer3_skip2": True}).layers]
    assert [name for name in names if name.startswith("half")] == [
        "half1_after1_pool", "half1_after1", "half3_after3_pool", "half3_after3",
    ]  # fmt: skip
    spec = space.network_spec({"layer2_skip0": True, "layer5_skip0": True, "layer5_skip3": True})
    shapes = {layer.spec.name: (layer.inputs, layer.shape) for layer in spec.layers}
    assert shapes["half0_after1"] == (("half0_after1_pool",), (4, 4, 4))
    assert shapes["half0_after3_pool"] == (("half0_after1",), (2, 2, 4))
    assert shapes["layer2_add0"][0] == ("layer2_conv_3x3_out", "half0_after1")
    assert shapes["layer5_add0"][0] == ("layer5_conv_3x3_out", "half0_after3")
    assert shapes["layer5_add3"][0] == ("layer5_add0", "half3_after3")
    assert shapes["layer5_norm"] == (("layer5_add3",), (2, 2, 4))
    assert "layer0_norm" not in shapes


def test_keras_model_has_the_layers_of_the_spec() -> None:
    space = macro_space((50, 30, 3), 3, num_layers=7, num_filters=4)
    info = DatasetInfo((50, 30, 3), "uint8", (100.0,) * 3, (50.0,) * 3, (0.0, 255.0), (0, 1, 2), 10, 10)
    spec = space.network_spec(space.sample(np.random.default_rng(3)))
    model = build_network(spec, info, seed=0)
    for layer in spec.layers:
        assert model.get_layer(layer.spec.name).output.shape == (None, *layer.shape)
    assert [layer.spec.name for layer in spec.layers[:2]] == ["stem", "stem2"]
    assert spec.layers[1].shape == (13, 8, 4)
    adds = [layer for layer in spec.layers if isinstance(layer.spec, AddSpec)]
    assert all(model.get_layer(layer.spec.name).input[0].shape[1:] == layer.shape for layer in adds)


def test_a_layer_is_the_normalised_sum_of_its_operation_and_what_it_skips_from() -> None:
    space = tiny()
    chosen = {"layer5_operation": "separable_conv_5x5", "layer5_skip0": True, "layer5_skip4": True}
    model = build_network(space.network_spec(chosen), INFO, seed=0)
    parts = ("layer5_separable_conv_5x5_out_relu", "half0_after3_bn", "layer4_norm_bn", "layer5_norm_bn")
    outputs = keras.Model(model.input, [model.get_layer(name).output for name in parts])
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1)).astype(np.float32)
    *summands, found = (np.asarray(output) for output in outputs(images, training=True))
    total = sum(summands)
    expected = (total - total.mean(axis=(0, 1, 2))) / np.sqrt(total.var(axis=(0, 1, 2)) + 1e-3)
    assert np.abs(total).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    frozen = [weight.path for weight in model.non_trainable_variables if "moving" not in weight.path]
    assert len(frozen) == 5 and all("norm" in path for path in frozen)


def test_json_round_trip_and_restriction_keep_kind_and_sizes() -> None:
    space = tiny().restrict({"layer0_operation": ("conv_3x3", "max_pool_3x3"), "layer3_skip1": (True,)})
    again = network_space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert isinstance(again, MacroSearchSpace) and again == space
    assert (again.image_shape, again.num_classes, again.num_layers, again.num_filters) == ((8, 8, 1), 3, 6, 4)
    assert again.network_spec({}).operations[0] == "conv_3x3" and again.network_spec({}).skips[3] == (1,)
    images = image_space((8, 8, 1), 3)
    assert "kind" not in images.to_dict()  # as in files from before there was another kind
    assert network_space_from_dict(images.to_dict()) == images
    with pytest.raises(InvalidArgumentError, match="kind='cells'"):
        network_space_from_dict({**images.to_dict(), "kind": "cells"})


@pytest.mark.slow
def test_any_keras_tuner_can_search_it(tmp_path: Path) -> None:
    space = tiny(3, operations=("conv_3x3", "max_pool_3x3"))
    tuner = keras_tuner.RandomSearch(
        space.hypermodel(INFO), objective="val_accuracy", max_trials=1, seed=0, directory=tmp_path, project_name="p"
    )
    images = np.random.default_rng(0).uniform(0, 255, (12, 8, 8, 1))
    codes = np.arange(12) % 3
    tuner.search(images, codes, validation_data=(images, codes), epochs=1, verbose=0)
    best = tuner.get_best_hyperparameters()[0]
    assert sorted(best.values) == sorted(space.names)
    model = tuner.hypermodel.build(best)
    operation = best.values["layer0_operation"]
    assert any(layer.name.startswith(f"layer0_{operation}") for layer in model.layers)
    assert np.allclose(model.predict_on_batch(images).sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_shape": (8, 8)},
        {"image_shape": (8, 0, 1)},
        {"num_classes": 0},
        {"num_layers": 2},
        {"num_filters": 0},
        {"operations": ("conv_7x7",)},
        {"operations": ()},
        {"operations": ("conv_3x3", "conv_3x3")},
    ],
)
def test_impossible_spaces_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="Received"):
        macro_space(**{"image_shape": (8, 8, 1), "num_classes": 3, **wrong})


def test_foreign_architectures_are_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="layer9_operation"):
        tiny().network_spec({"layer9_operation": "conv_3x3"})
