from pathlib import Path

import pytest

from automl_keras.testing import OracleTestCase
from tests.testing_tests.broken_oracles import BROKEN, BrokenOracle
from tests.testing_tests.conformance_runs import checks, failed_checks


@pytest.fixture(scope="module")
def failed() -> dict[type[BrokenOracle], set[str]]:
    return failed_checks(Path(__file__).with_name("broken_oracles.py"), "make_oracle")


def test_every_check_has_an_oracle_that_fails_it() -> None:
    assert sorted(broken.fails for broken in BROKEN) == sorted(checks(OracleTestCase))


@pytest.mark.parametrize("broken", BROKEN)
def test_a_fault_is_found_by_its_check_alone(
    broken: type[BrokenOracle], failed: dict[type[BrokenOracle], set[str]]
) -> None:
    assert failed[broken] == {broken.fails}
