import json

import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import network_cost
from automl_keras.search_space import ImageSearchSpace, build_network, image_space

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3), (160, 120, 4)]


def info_for(shape: tuple[int, int, int]) -> DatasetInfo:
    channels = shape[2]
    return DatasetInfo(shape, "uint8", (100.0,) * channels, (50.0,) * channels, (0.0, 255.0), (0, 1, 2), 10, 10)


def test_size_at_28_pixels_is_as_documented() -> None:
    assert image_space((28, 28, 1), 10).size == 24_948_000


@pytest.mark.parametrize("shape", SHAPES)
def test_every_option_changes_the_cost(shape: tuple[int, int, int]) -> None:
    space = image_space(shape, 3)
    base = space.canonical({f"stage{s}_operation": "mbconv" for s in range(space.num_stages)})
    for decision in space.decisions:
        costs = [network_cost(space.network_spec({**base, decision.name: option})) for option in decision.options]
        assert len({(cost.params, cost.macs) for cost in costs}) == len(decision.options), decision.name


@pytest.mark.parametrize("operation", ["residual", "fused_mbconv", "mbconv"])
def test_keras_model_has_the_layers_of_the_spec(operation: str) -> None:
    space = image_space((28, 28, 1), 3)
    choices = {f"stage{s}_operation": operation for s in range(3)}
    spec = space.network_spec({**choices, "stage1_kernel": 5, "stage2_depth": 3})
    model = build_network(spec, info_for((28, 28, 1)), seed=0)
    for conv, (height, width) in spec.convs():
        layer = model.get_layer(conv.name)
        assert layer.output.shape == (None, height, width, conv.out_channels)
        assert layer.kernel.shape[:3] == (conv.kernel, conv.kernel, conv.in_channels)
    assert model.output_shape == (None, 3)


def test_same_seed_same_weights() -> None:
    space = image_space((8, 8, 1), 3)
    spec = space.network_spec(space.default())
    one, other, third = (build_network(spec, info_for((8, 8, 1)), seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, third, strict=True))


def test_extremes_bound_every_cost() -> None:
    space = image_space((28, 28, 1), 10)
    rng = np.random.default_rng(0)
    for operation in ("residual", "fused_mbconv", "mbconv"):
        fixed = space.restrict({f"stage{s}_operation": (operation,) for s in range(3)})
        low, high = (network_cost(space.network_spec(fixed.extreme(largest=x))).params for x in (False, True))
        for _ in range(30):
            params = network_cost(space.network_spec(fixed.sample(rng))).params
            assert low <= params <= high


def test_json_round_trip_and_restriction_keep_the_geometry() -> None:
    space = image_space((32, 32, 3), 7).restrict({"stage0_width": (8, 16)})
    again = ImageSearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert (again.image_shape, again.num_classes, again.num_stages) == ((32, 32, 3), 7, 3)


def test_hypermodel_builds_what_the_hyperparameters_say() -> None:
    import keras_tuner

    space = image_space((8, 8, 1), 3)
    hypermodel = space.hypermodel(info_for((8, 8, 1)))
    hp = keras_tuner.HyperParameters()
    hypermodel.build(hp)
    assert [entry.name for entry in hp.space] == list(space.names)
    hp.values["stage0_width"] = 8
    model = hypermodel.build(hp)
    assert model.get_layer("stem").filters == 8
    assert np.allclose(model.predict_on_batch(np.zeros((2, 8, 8, 1))).sum(axis=1), 1.0)


@pytest.mark.parametrize(("shape", "classes"), [((0, 8, 1), 2), ((8, 8), 2), ((8, 8, 1), 0)])
def test_impossible_data_is_refused(shape: tuple, classes: int) -> None:
    with pytest.raises(InvalidArgumentError, match="Received"):
        image_space(shape, classes)
