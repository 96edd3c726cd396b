import numpy as np
import pytest

from automl_keras.data import Dataset

pytest.register_assert_rewrite("automl_keras.testing.strategy_checks")


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Small images of two classes that differ in their left half."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 64).astype(np.int32)
    images = rng.integers(0, 100, (64, 8, 8, 1)).astype(np.uint8)
    images[codes == 1, :, :4] += 150
    return Dataset(images, codes)
