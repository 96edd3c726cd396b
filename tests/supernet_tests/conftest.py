import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.search_space import Decision, ImageSearchSpace, image_space


@pytest.fixture(scope="session")
def info() -> DatasetInfo:
    return DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1, 2), 64, 64)


@pytest.fixture(scope="session")
def space() -> ImageSearchSpace:
    """All operations and resolutions, two kernels, expansions, depths and widths, at the smallest sizes."""
    decisions = [Decision("full_resolution", (0, 1, 2)), *image_space((8, 8, 1), 3).decisions[1:]]
    full = ImageSearchSpace(decisions, image_shape=(8, 8, 1), num_classes=3, num_stages=3)
    return full.restrict(
        {f"stage{s}_width": (8, 16) for s in range(3)}
        | {f"stage{s}_depth": (1, 2) for s in range(3)}
        | {"stage1_operation": ("residual",), "stage2_operation": ("residual", "mbconv"), "stage2_kernel": (3,)}
    )


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.uint8)


@pytest.fixture(scope="session")
def codes() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, 64).astype(np.int32)


@pytest.fixture(scope="session")
def elastic_space() -> ImageSearchSpace:
    """Two stages with three operations, kernels, widths, two expansions and depths, with very few channels."""
    decisions = [Decision("full_resolution", (2,))]
    for stage, operations in enumerate((("residual", "fused_mbconv", "mbconv"), ("residual", "mbconv"))):
        name = f"stage{stage}"
        decisions += [
            Decision(f"{name}_operation", operations),
            Decision(f"{name}_kernel", (3, 5, 7)),
            Decision(f"{name}_expansion", (2, 4), parent=(f"{name}_operation", operations[1:])),
            Decision(f"{name}_depth", (1, 2)),
            Decision(f"{name}_width", (2, 4, 6)),
        ]
    return ImageSearchSpace(decisions, image_shape=(8, 8, 1), num_classes=3, num_stages=2)
