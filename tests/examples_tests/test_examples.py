import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from automl_keras.testing import StrategyTestCase
from automl_keras.tuners import Strategy

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))


class TestCustomStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Strategy]:
        monkeypatch.syspath_prepend(ROOT / "examples")
        strategy_class: Callable[..., Strategy] = importlib.import_module("03_custom_strategy").HillClimbingStrategy
        return strategy_class


def test_custom_strategy_beats_random_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    importlib.import_module("03_custom_strategy").main()
    num_trials, random, climbing = capsys.readouterr().out.splitlines()[-1].split()
    assert num_trials == "200"
    assert float(climbing) > float(random) + 0.05


def test_examples_are_numbered() -> None:
    assert [path.name[:3] for path in EXAMPLES] == [f"{number:02}_" for number in range(1, len(EXAMPLES) + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_in_three_minutes(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, path], cwd=tmp_path, env=environment, timeout=180, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    assert run.stdout
