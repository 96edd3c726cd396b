"""Runs the conformance suites on broken classes, inside the running tests."""

import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class FailureRecorder:
    """A pytest plugin that notes which checks each value of a fixture fails.

    Only those whose `fails` says that they should fail there are tried in a fresh process, which takes seconds.
    """

    def __init__(self, fixture: str) -> None:
        self.fixture = fixture
        self.failed: dict[Any, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        fresh = [item for item in items if "fresh_process" in item.name]
        fails = {item: getattr(self.broken(item), "fails", None) for item in fresh}
        items[:] = [item for item in items if item not in fails or item.originalname == fails[item]]

    def pytest_runtest_makereport(self, item: pytest.Function, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None:
            self.failed[self.broken(item)].add(item.originalname)

    def broken(self, item: pytest.Function) -> Any:
        return item.callspec.params[self.fixture]


def failed_checks(path: Path, fixture: str) -> dict[Any, set[str]]:
    """For every value of `fixture` in a file of tests the names of the checks it fails."""
    recorder = FailureRecorder(fixture)
    options = ["-qq", "--tb=native", "--capture=no", "--noconftest", "--import-mode=importlib", f"--rootdir={ROOT}"]
    plugins = ["no:cacheprovider", "no:faulthandler", "no:unraisableexception", "no:threadexception"]
    arguments = [str(path), "-c", os.devnull, *options, *(item for name in plugins for item in ("-p", name))]
    # Oracles write five files a trial: in memory where that can be had.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        code = pytest.main([*arguments, f"--basetemp={directory}/tests"], plugins=[recorder])
    assert code == pytest.ExitCode.TESTS_FAILED
    return recorder.failed


def checks(case: type) -> set[str]:
    """The names of the checks of a test case."""
    return {name for name in dir(case) if name.startswith("test_")}
