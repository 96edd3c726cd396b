import math

import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError
from automl_keras.evaluation import network_cost
from automl_keras.search_space import Decision, ImageSearchSpace, build_network, image_space
from automl_keras.search_space.scaling import (
    EFFICIENTNET,
    ScalingCoefficients,
    compound_scale,
    largest_phi,
    scaled_depth,
    scaled_width,
    scaling_candidates,
)

B0_WIDTHS = (32, 16, 24, 40, 80, 112, 192, 320, 1280)  # stem, seven stages, head
B0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
# Width and depth factors of the released networks, and the sizes those have.
PUBLISHED = {
    "B1": (1.0, 1.1, B0_WIDTHS, (2, 3, 3, 4, 4, 5, 2)),
    "B2": (1.1, 1.2, (32, 16, 24, 48, 88, 120, 208, 352, 1408), (2, 3, 3, 4, 4, 5, 2)),
    "B3": (1.2, 1.4, (40, 24, 32, 48, 96, 136, 232, 384, 1536), (2, 3, 3, 5, 5, 6, 2)),
    "B4": (1.4, 1.8, (48, 24, 32, 56, 112, 160, 272, 448, 1792), (2, 4, 4, 6, 6, 8, 2)),
    "B5": (1.6, 2.2, (48, 24, 40, 64, 128, 176, 304, 512, 2048), (3, 5, 5, 7, 7, 9, 3)),
    "B6": (1.8, 2.6, (56, 32, 40, 72, 144, 200, 344, 576, 2304), (3, 6, 6, 8, 8, 11, 3)),
    "B7": (2.0, 3.1, (64, 32, 48, 80, 160, 224, 384, 640, 2560), (4, 7, 7, 10, 10, 13, 4)),
}


def deep_space() -> ImageSearchSpace:
    """Large sizes, which rounding changes little."""
    decisions = [Decision("full_resolution", (0,))]
    for stage, width in enumerate((64, 128, 256)):
        decisions += [
            Decision(f"stage{stage}_operation", ("mbconv",)),
            Decision(f"stage{stage}_kernel", (3,)),
            Decision(f"stage{stage}_expansion", (4,)),
            Decision(f"stage{stage}_depth", (20,)),
            Decision(f"stage{stage}_width", (width,)),
        ]
    return ImageSearchSpace(decisions, image_shape=(256, 192, 3), num_classes=10, num_stages=3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_rounding_gives_the_published_networks(name: str) -> None:
    width, depth, widths, depths = PUBLISHED[name]
    assert tuple(scaled_width(channels, width) for channels in B0_WIDTHS) == widths
    assert tuple(scaled_depth(blocks, depth) for blocks in B0_DEPTHS) == depths


def test_products_that_are_whole_numbers_are_not_rounded_up() -> None:
    assert 50 * 1.1 > 55
    assert scaled_depth(50, 1.1) == 55
    assert scaled_width(40, 1.1) == 48  # 44 lies in the middle: up
    assert scaled_width(12, 1.0) == 12
    assert scaled_width(8, 1.1) == 8
    assert scaled_width(16, 1.12) == 24  # 16 is below nine tenths of 17.92


def test_width_never_shrinks_as_the_factor_grows() -> None:
    for channels in (4, 8, 24, 100):
        widths = [scaled_width(channels, factor) for factor in np.linspace(1.001, 4, 1000)]
        assert widths == sorted(widths)


def test_phi_zero_is_the_identity() -> None:
    space = image_space((28, 28, 1), 10)
    architecture = space.sample(np.random.default_rng(0))
    assert compound_scale(space, architecture, 0) == (space, architecture)


@pytest.mark.parametrize("phi", [0.5, 1.0, 2.0, 3.0])
def test_macs_grow_with_the_power_of_phi(phi: float) -> None:
    space = deep_space()
    macs = network_cost(space.network_spec(space.default())).macs
    larger, scaled = compound_scale(space, space.default(), phi)
    growth = network_cost(larger.network_spec(scaled)).macs / macs
    assert growth == pytest.approx(EFFICIENTNET.macs_factor**phi, rel=0.05)


def test_every_size_of_the_space_is_scaled() -> None:
    space = image_space((28, 28, 1), 10)
    architecture = space.canonical({"stage1_width": 40, "stage2_depth": 3, "stage1_operation": "mbconv"})
    larger, scaled = compound_scale(space, architecture, 2, coefficients=ScalingCoefficients(1.2, 1.25, 1.15))
    assert larger.image_shape == (37, 37, 1)  # 28 * 1.3225
    assert larger.num_classes == 10
    assert larger["stage1_width"].options == (16, 24, 40, 48, 64, 72, 104)  # times 1.5625
    assert larger["stage1_depth"].options == (2, 3, 5)  # times 1.44
    assert (scaled["stage1_width"], scaled["stage2_depth"]) == (64, 5)
    assert larger["stage0_width"].default == scaled_width(24, 1.5625)
    for name in space.names:
        if not name.endswith(("_width", "_depth")):
            assert larger[name] == space[name]
            assert scaled.get(name) == architecture.get(name)
    assert ImageSearchSpace.from_dict(larger.to_dict()) == larger


def test_the_scaled_network_can_be_built() -> None:
    space = image_space((8, 8, 1), 3)
    larger, scaled = compound_scale(space, space.extreme(largest=False, operation="mbconv"), 1)
    spec = larger.network_spec(scaled)
    assert spec.image_shape == (9, 9, 1)
    info = DatasetInfo(spec.image_shape, "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1, 2), 10, 10)
    assert build_network(spec, info, seed=0).output_shape == (None, 3)


def test_candidates_hold_the_published_coefficients() -> None:
    candidates = scaling_candidates()
    assert EFFICIENTNET in candidates
    assert EFFICIENTNET.macs_factor == pytest.approx(1.9203, abs=1e-4)
    products = [one.alpha * one.beta**2 * one.gamma**2 for one in candidates]
    assert all(abs(product - 2) <= 0.1 + 1e-9 for product in products)
    assert len(set(candidates)) == len(candidates)
    # All of the grid: alpha alone can make up for beta = gamma = 1, and each of them for the others.
    assert [one.alpha for one in candidates if one.beta == one.gamma == 1] == [1.9, 1.95, 2.0, 2.05, 2.1]
    assert [one.beta for one in candidates if one.alpha == one.gamma == 1] == [1.4]  # 1.96; 1.45 gives 2.1025


def test_largest_phi_is_the_last_one_allowed() -> None:
    space = image_space((28, 28, 1), 10)
    architecture = space.default()
    asked = []

    def macs(phi: float) -> int:
        larger, scaled = compound_scale(space, architecture, phi)
        return network_cost(larger.network_spec(scaled)).macs

    limit = 3 * macs(0)

    def allows(spec) -> bool:
        asked.append(spec)
        return network_cost(spec).macs <= limit

    phi = largest_phi(space, architecture, allows)
    assert macs(phi) <= limit < macs(round(phi + 0.01, 9))
    assert len(asked) <= 2 + math.ceil(math.log2(1000))
    assert largest_phi(space, architecture, lambda spec: True) == 10
    assert largest_phi(space, architecture, lambda spec: spec.image_shape == (28, 28, 1), step=0.5) == 0


def test_bad_input_is_refused() -> None:
    space = image_space((28, 28, 1), 10)
    for phi in (-0.1, math.inf, math.nan):
        with pytest.raises(InvalidArgumentError, match=f"phi={phi}"):
            compound_scale(space, space.default(), phi)
    with pytest.raises(InvalidArgumentError, match=r"beta=0\.9"):
        ScalingCoefficients(1.2, 0.9, 1.1)
    with pytest.raises(InvalidArgumentError, match="step=0"):
        scaling_candidates(step=0)
    with pytest.raises(InvalidArgumentError, match="limit=0"):
        largest_phi(space, space.default(), lambda spec: True, limit=0)
    with pytest.raises(InfeasibleBudgetError, match="itself must be allowed"):
        largest_phi(space, space.default(), lambda spec: False)
