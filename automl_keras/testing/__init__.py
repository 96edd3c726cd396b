"""Tests to inherit and toys to test with, for authors of strategies and oracles. Needs pytest."""

import pytest

# Before the modules are imported, so that a failed check shows its values.
pytest.register_assert_rewrite(
    *(
        f"automl_keras.testing.{module}"
        for module in ("isolation", "oracle_checks", "proposal_checks", "result_checks", "state_checks")
    )
)

from automl_keras.testing.oracle_checks import OracleTestCase  # noqa: E402
from automl_keras.testing.strategy_checks import StrategyTestCase  # noqa: E402
from automl_keras.testing.strategy_fixtures import run_search  # noqa: E402
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation, toy_score  # noqa: E402

__all__ = [
    "OracleTestCase",
    "StrategyTestCase",
    "conditional_space",
    "flat_space",
    "run_search",
    "toy_evaluation",
    "toy_score",
]
