"""Whole processes: a search that starts its own Ray, is killed, is interrupted, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
from pathlib import Path
import keras_tuner
from automl_keras.testing import flat_space
from automl_keras.tuners import EvolutionOracle
from automl_keras.tuners.ray_search import search_on_ray

class Tuner(keras_tuner.Tuner):
    # From the trial WAITS_FROM on a trial waits until the file `go` is there.
    def run_trial(self, trial):
        folder = Path(self.project_dir)
        with (folder / "runs").open("a") as runs:
            runs.write(trial.trial_id + "\\n")
        while int(trial.trial_id) >= WAITS_FROM and not (folder / "go").exists():
            time.sleep(0.05)
        return float(sum(trial.hyperparameters.values.values()))

    def on_search_end(self):
        import ray
        assert ray.is_initialized()

WAITS_FROM = 4
oracle = EvolutionOracle(space=flat_space(4, 3), max_trials=8, seed=0)
oracle.verbose = 0
tuner = Tuner(oracle, directory=sys.argv[1], project_name="search")
names = {name for name in os.environ if name.startswith("RAY_")}
try:
    search_on_ray(tuner, num_workers=2)
except KeyboardInterrupt:
    print("interrupted")
import ray
assert not ray.is_initialized()
assert names == {name for name in os.environ if name.startswith("RAY_")}
print(*oracle.end_order)
"""


class Driver:
    """A search in a process and session of its own, so that its Ray is found by the session."""

    def __init__(self, folder: Path) -> None:
        script = folder / "driver.py"
        script.write_text(DRIVER)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.project = folder / "search"
        self.process = subprocess.Popen(
            [sys.executable, script, folder],
            env=environment,
            cwd=folder,
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        )

    def runs(self) -> Counter[str]:
        path = self.project / "runs"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def others(self) -> list[int]:
        """The other processes of its session."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z" and int(path.parent.name) != self.process.pid:
                found.append(int(path.parent.name))
        return found


def wait_for(condition: Callable[[], bool], driver: Driver | None = None) -> None:
    """Wait, at most four minutes, and not if the driver has ended before."""
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end
        assert driver is None or driver.process.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_only_the_trials_in_flight_are_lost(tmp_path: Path, how: signal.Signals) -> None:
    """They run again, under the same number; every other trial ran once, and everyone ends once."""
    killed = Driver(tmp_path)
    wait_for(lambda: len(killed.runs()) == 6, killed)
    assert len(killed.others()) >= 4
    if how == signal.SIGINT:
        os.killpg(killed.process.pid, how)  # a terminal sends it to all processes
    else:
        killed.process.send_signal(how)
    printed, _ = killed.process.communicate(timeout=120)
    if how == signal.SIGINT:
        assert printed.splitlines()[0] == "interrupted"
        assert killed.others() == []
    resumed = Driver(tmp_path)
    wait_for(lambda: sum(resumed.runs().values()) == 8, resumed)
    (resumed.project / "go").touch()
    printed, _ = resumed.process.communicate(timeout=240)
    assert resumed.process.returncode == 0
    assert resumed.others() == []
    assert sorted(printed.splitlines()[-1].split()) == [str(number) for number in range(8)]
    assert resumed.runs() == Counter({str(number): 2 if number in (4, 5) else 1 for number in range(8)})
    for process in killed.others():  # two helpers of Ray take two minutes to notice that their driver was killed
        os.kill(process, signal.SIGKILL)


def test_a_ray_imported_earlier_is_refused_if_it_could_be_reached(tmp_path: Path) -> None:
    script = tmp_path / "early.py"
    script.write_text(f"import ray\nray.util.get_node_ip_address = lambda: '10.0.0.1'\n{DRIVER}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script, tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0" in done.stderr


FAILING = """
import sys, tempfile
import keras_tuner
from automl_keras.testing import flat_space
from automl_keras.tuners import RandomSearchOracle
from automl_keras.tuners.ray_search import search_on_ray
from automl_keras.tuners.ray_session import ray_session

class Tuner(keras_tuner.Tuner):
    def run_trial(self, trial):
        return None  # which no trial may return, so that the search ends

with ray_session("local", 2, 1, 0, 1):
    for _ in range(150):
        with tempfile.TemporaryDirectory() as folder:
            oracle = RandomSearchOracle(space=flat_space(4, 3), max_trials=5, seed=0)
            oracle.verbose = 0
            try:
                search_on_ray(Tuner(oracle, directory=folder), num_workers=1)
            except keras_tuner.errors.FatalTypeError:
                print("ended")
"""


def test_a_search_that_ends_with_an_error_does_not_abort_its_process(tmp_path: Path) -> None:
    """Ray aborts now and then if a task that has ended is cancelled by force."""
    (tmp_path / "failing.py").write_text(FAILING)
    done = subprocess.run(
        [sys.executable, tmp_path / "failing.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["ended"] * 150)
