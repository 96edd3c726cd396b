import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators import latency
from automl_keras.estimators.latency import LatencyLimit
from automl_keras.evaluation import CostPredictor
from automl_keras.search_space import image_space

INFO = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 96, 32)
SPACE = image_space((8, 8, 1), 2)
PREDICT = CostPredictor(SPACE, INFO)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)


def limit(milliseconds: float) -> LatencyLimit:
    return LatencyLimit(milliseconds, PREDICT, INFO, IMAGES, seed=0)


def test_the_untrained_file_is_timed() -> None:
    assert 0 < limit(1.0).measure(SPACE.extreme(largest=False)) < 100


def test_line_through_the_smallest_and_the_default_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def milliseconds(self: LatencyLimit, architecture: dict) -> float:
        return 1.0 + PREDICT(architecture).macs / 1e6

    monkeypatch.setattr(LatencyLimit, "measure", milliseconds)
    assert limit(11.0).max_macs() == pytest.approx((latency.MARGIN * 11 - 1) * 1e6)
    smallest = 1.0 + PREDICT(SPACE.extreme(largest=False, operation="residual")).macs / 1e6
    with pytest.raises(InfeasibleBudgetError, match=rf"latency_ms={smallest:.3g} on .*max_latency_ms=0.5"):
        limit(0.5).max_macs()
    allowed = limit(1.0 + PREDICT(SPACE.default()).macs / 1e6)
    assert allowed.allows(SPACE.default())
    assert not allowed.allows(SPACE.extreme(largest=True))


def test_no_limit_where_all_take_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LatencyLimit, "measure", lambda self, architecture: 0.5)
    assert limit(1.0).max_macs() == float("inf")
