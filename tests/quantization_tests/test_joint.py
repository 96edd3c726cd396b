import keras
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.evaluation import network_cost
from automl_keras.quantization.file_check import expected_weights
from automl_keras.quantization.folding import fold_batch_norm
from automl_keras.quantization.joint import RoundedScorer
from automl_keras.search_space import Architecture, ImageSearchSpace, image_space
from automl_keras.supernet import SubnetScorer, Supernet, make_supernet

SHAPE, CLASSES = (8, 8, 1), 3
SIZES = {"stage0_operation": "mbconv", "stage0_kernel": 3, "stage1_width": 16, "stage1_depth": 2, "stage2_bits": 4}


@pytest.fixture(scope="module")
def space() -> ImageSearchSpace:
    return image_space(SHAPE, CLASSES, weight_bits=(4, 8)).restrict(
        {f"stage{stage}_width": (16, 24, 32) for stage in range(2)} | {"stage2_width": (16, 24), "stage2_depth": (1,)}
    )


@pytest.fixture(scope="module")
def supernet(space: ImageSearchSpace) -> Supernet:
    info = DatasetInfo(SHAPE, "float32", (0.0,), (1.0,), (0.0, 1.0), (0, 1, 2), 100, 50)
    return make_supernet(space, info, seed=0)


@pytest.fixture(scope="module")
def scorer(supernet: Supernet) -> RoundedScorer:
    rng = np.random.default_rng(0)
    images = rng.random((60, *SHAPE), np.float32)
    return RoundedScorer(supernet, images, images, rng.integers(0, CLASSES, 60), seed=0)


def folded_kernels(model: keras.Model) -> dict[str, np.ndarray]:
    folded = fold_batch_norm(model)
    return {layer.name: layer.get_weights()[0] for layer in folded.layers if "Conv2D" in type(layer).__name__}


def test_rounded_kernels_are_those_of_the_file(space, supernet, scorer) -> None:
    """A file rounds kernels with BatchNorm folded into them; channel by channel that is the same."""
    architecture = space.canonical(SIZES)
    network = supernet.subnet(architecture)
    with scorer._rounded(architecture):
        rounded = supernet.subnet(architecture)
    # BatchNorm that is not the identity, and in part negative.
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            values = [rng.normal(size=np.shape(weight)) for weight in layer.get_weights()[:3]]
            values.append(rng.random(np.shape(values[0])) + 0.5)
            layer.set_weights(values)
            rounded.get_layer(layer.name).set_weights(values)
    of_file, of_scorer = folded_kernels(network), folded_kernels(rounded)
    bits = {conv.name: conv.bits for conv, _ in space.network_spec(architecture).convs()}
    assert {bits["s2b0_res1"], bits["s1b0_res1"]} == {4, 8}
    for name, kernel in of_file.items():
        axis = 2 if kernel.shape[3] == 1 and "mb2" in name else 3
        codes, scales = expected_weights(kernel, axis, bits[name])
        stored = codes * np.expand_dims(scales, [place for place in range(4) if place != axis])
        np.testing.assert_allclose(of_scorer[name], stored, atol=1e-5)
    assert not np.allclose(of_file["s2b0_res1"], of_scorer["s2b0_res1"], atol=1e-3)


@pytest.mark.slow
def test_scores_are_those_of_rounded_networks_and_leave_no_trace(space, supernet, scorer) -> None:
    def plain_accuracy(architecture: Architecture) -> float:
        return SubnetScorer.score(scorer, architecture)

    before = [weight.numpy() for weight in supernet.weights]
    wide = space.canonical({**SIZES, "stage2_bits": 8})
    narrow = space.canonical({**SIZES, **{f"stage{stage}_bits": 4 for stage in range(3)}})
    with scorer._rounded(narrow):
        expected = plain_accuracy(narrow)
    assert scorer.score(narrow) == expected
    assert scorer.score(wide) == pytest.approx(plain_accuracy(wide), abs=0.1)  # 8 bits change next to nothing
    for weight, values in zip(supernet.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), values)


def test_costs_count_the_bits_of_each_stage(space) -> None:
    narrow = space.network_spec(space.canonical({**SIZES, "stage2_bits": 4}))
    wide = space.network_spec(space.canonical({**SIZES, "stage2_bits": 8}))
    weights = sum(
        conv.kernel**2 * conv.in_channels * conv.out_channels for conv, _ in wide.convs() if conv.name.startswith("s2")
    )
    difference = network_cost(wide, quantization="joint").size_kb - network_cost(narrow, quantization="joint").size_kb
    assert difference == pytest.approx(weights / 2 / 1000, abs=0.001)
    assert network_cost(wide, quantization="joint") == network_cost(wide)
