from pathlib import Path

import pytest

from automl_keras.testing import StrategyTestCase
from tests.testing_tests.broken_strategies import Broken
from tests.testing_tests.conformance_runs import CASES, checks, failed_checks


@pytest.fixture(scope="module", params=CASES)
def failed(request: pytest.FixtureRequest) -> dict[type[Broken], set[str]]:
    return failed_checks(Path(__file__).with_name("broken_strategies.py"), "make_strategy", all_cases=request.param)


def test_every_check_has_a_strategy_that_fails_it() -> None:
    assert sorted(broken.fails for broken in Broken.__subclasses__()) == sorted(checks(StrategyTestCase))


@pytest.mark.parametrize("broken", Broken.__subclasses__())
def test_a_fault_is_found_by_its_check_alone(broken: type[Broken], failed: dict[type[Broken], set[str]]) -> None:
    assert failed[broken] == {broken.fails}
