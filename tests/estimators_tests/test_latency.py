from pathlib import Path

import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.latency import LatencyLimit
from automl_keras.estimators.spaces import NetworkSpaces
from automl_keras.evaluation import LatencyTable
from automl_keras.search_space import image_space

INFO = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 96, 32)
SPACE = image_space((8, 8, 1), 2)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)


def limit(milliseconds: float, folder: Path | None = None) -> LatencyLimit:
    return LatencyLimit(milliseconds, NetworkSpaces(INFO, SPACE), IMAGES, seconds=10.0, seed=0, folder=folder)


def test_the_untrained_file_is_timed() -> None:
    assert 0 < limit(1.0).measure(SPACE.extreme(largest=False)) < 100


def test_the_first_network_that_is_fast_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {8: 3.0, 16: 2.0, 24: 1.0}
    monkeypatch.setattr(LatencyLimit, "measure", lambda self, network: times[network["stage0_width"]])
    networks = [SPACE.canonical({"stage0_width": width}) for width in times]
    assert limit(3.0).first_allowed(networks) == networks[0]
    assert limit(2.5).first_allowed(networks) == networks[1]
    assert limit(2.5).allows(networks[1]) and not limit(2.5).allows(networks[0])
    with pytest.raises(InfeasibleBudgetError, match=r"latency_ms=1 on .*max_latency_ms=0.5"):
        limit(0.5).first_allowed(networks)


def test_the_table_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = tmp_path / "project"
    project.mkdir()
    limiting = limit(1.0, project)
    table = limiting.table(SPACE)
    assert table is limiting.table(SPACE.restrict({"stage0_width": (8,)}))
    assert list((tmp_path / "cache").rglob("latency_*.json"))
    small, large = (SPACE.network_spec(SPACE.extreme(largest=largest)) for largest in (False, True))
    assert table.predict(small) < table.predict(large)
    monkeypatch.setattr(LatencyTable, "measure", lambda *args, **settings: pytest.fail("the project has a table"))
    again = limit(1.0, project).table(SPACE.restrict({"stage0_width": (8,)}))
    assert (again.entries, again.overhead_ms) == (table.entries, table.overhead_ms)
