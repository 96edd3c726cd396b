"""Runs the conformance suites on broken classes, inside the running tests."""

import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = [pytest.param(False, id="last_cases"), pytest.param(True, id="all_cases", marks=pytest.mark.slow)]


class FailureRecorder:
    """A pytest plugin that notes which checks each value of a fixture fails.

    Its own check, named by `fails`, is made in all cases, the others in their last case alone unless `all_cases`,
    and none but its own in a fresh process, which takes seconds. What has no `fails` is tried with all of them.
    """

    def __init__(self, fixture: str, all_cases: bool) -> None:
        self.fixture = fixture
        self.all_cases = all_cases
        self.failed: dict[Any, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        last = {(self.broken(item), item.originalname): item for item in items}
        items[:] = [item for item in items if self.is_due(item, last[self.broken(item), item.originalname])]

    def is_due(self, item: pytest.Function, last: pytest.Function) -> bool:
        fails = getattr(self.broken(item), "fails", None)
        if item.originalname == fails:
            return True
        return "fresh_process" not in item.name and (self.all_cases or fails is None or item is last)

    def pytest_runtest_makereport(self, item: pytest.Function, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None:
            self.failed[self.broken(item)].add(item.originalname)

    def broken(self, item: pytest.Function) -> Any:
        return item.callspec.params[self.fixture]


def failed_checks(path: Path, fixture: str, all_cases: bool) -> dict[Any, set[str]]:
    """For every value of `fixture` in a file of tests the names of the checks it fails."""
    recorder = FailureRecorder(fixture, all_cases)
    options = ["-qq", "--tb=native", "--capture=no", "--noconftest", "--import-mode=importlib", f"--rootdir={ROOT}"]
    plugins = ["no:cacheprovider", "no:faulthandler", "no:unraisableexception", "no:threadexception", "no:warnings"]
    arguments = [str(path), "-c", os.devnull, *options, *(item for name in plugins for item in ("-p", name))]
    # Oracles write five files a trial: in memory where that can be had.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        code = pytest.main([*arguments, f"--basetemp={directory}/tests"], plugins=[recorder])
    assert code == pytest.ExitCode.TESTS_FAILED
    return recorder.failed


def checks(case: type) -> set[str]:
    """The names of the checks of a test case."""
    return {name for name in dir(case) if name.startswith("test_")}
