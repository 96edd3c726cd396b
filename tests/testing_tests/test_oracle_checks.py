from functools import partial
from typing import Any

import pytest

from automl_keras.testing import OracleTestCase
from automl_keras.tuners import EvolutionOracle, RandomSearchOracle


class TestRandomSearchOracle(OracleTestCase):
    @pytest.fixture
    def make_oracle(self) -> Any:
        return RandomSearchOracle


class TestEvolutionOracle(OracleTestCase):
    @pytest.fixture
    def make_oracle(self) -> Any:
        return partial(EvolutionOracle, population_size=4, sample_size=2)
