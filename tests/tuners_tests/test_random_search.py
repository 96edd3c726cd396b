from collections import Counter
from collections.abc import Callable

import pytest

from automl_keras.testing import StrategyTestCase, flat_space
from automl_keras.tuners import RandomStrategy


class TestRandomStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., RandomStrategy]:
        return RandomStrategy


def test_options_are_drawn_uniformly() -> None:
    counts = Counter(a["d3"] for a in RandomStrategy(flat_space(), seed=0).ask(900))
    assert all(240 <= counts[option] <= 360 for option in range(3))


def test_results_do_not_matter() -> None:
    one, other = RandomStrategy(flat_space(), seed=0), RandomStrategy(flat_space(), seed=0)
    assert one.ask(20) == [other.ask()[0] for _ in range(20)]
