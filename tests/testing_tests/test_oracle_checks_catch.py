from pathlib import Path

import keras_tuner
import pytest

from automl_keras.testing import OracleTestCase
from tests.testing_tests.broken_oracles import BROKEN, BrokenOracle
from tests.testing_tests.conformance_runs import CASES, checks, failed_checks


@pytest.fixture(scope="module", params=CASES)
def failed(request: pytest.FixtureRequest) -> dict[type[keras_tuner.Oracle], set[str]]:
    return failed_checks(Path(__file__).with_name("broken_oracles.py"), "make_oracle", all_cases=request.param)


def test_every_check_has_an_oracle_that_fails_it() -> None:
    assert sorted(broken.fails for broken in BROKEN) == sorted(checks(OracleTestCase))


@pytest.mark.parametrize("broken", BROKEN)
def test_a_fault_is_found_by_its_check_alone(
    broken: type[BrokenOracle], failed: dict[type[keras_tuner.Oracle], set[str]]
) -> None:
    assert failed[broken] == {broken.fails}


def test_what_is_wrong_with_keras_tuners_random_search(failed: dict[type[keras_tuner.Oracle], set[str]]) -> None:
    assert failed[keras_tuner.oracles.RandomSearchOracle] == {
        "test_same_seed_same_trials",  # takes 0 for no seed
        "test_global_generators_are_untouched",  # draws a seed from `random`
        "test_failed_trials_never_win",  # fills up with them
        "test_too_many_failures_leave_it_usable",  # an exception leaves its lock behind
        "test_refused_update_leaves_it_usable",
        "test_state_is_a_snapshot",  # gives out its own lists
        "test_arguments_are_not_mutated",  # adds to the caller's hyperparameters
    }
