import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from automl_keras.errors import InvalidArgumentError, InvalidTypeError, ProjectError
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing import conditional_space, flat_space, toy_score
from automl_keras.tuners import RandomStrategy
from automl_keras.tuners.asha import ASHAOracle, SuccessiveHalving


class Schedule:
    """A search without an oracle: what is in the rungs, who was promoted, and all jobs in the order they began."""

    def __init__(self, halving: SuccessiveHalving, scores: dict[str, float]) -> None:
        self.halving = halving
        self.scores = scores
        self.rungs: list[dict[str, float]] = [{} for _ in halving.epochs]
        self.promoted: set[str] = set()
        self.new = iter(scores)
        self.begun: list[str] = []

    def begin(self) -> str:
        promotion = self.halving.promotion(self.rungs, self.promoted)
        if promotion is None:
            job = f"{next(self.new)}0"
        else:
            self.promoted.add(promotion[0])
            job = f"{promotion[0][0]}{promotion[1]}"
        self.begun.append(job)
        return job

    def end(self, job: str) -> None:
        self.rungs[int(job[1])][job] = self.scores[job[0]]


def one_worker(scores: dict[str, float], num_jobs: int) -> list[str]:
    schedule = Schedule(SuccessiveHalving(eta=3, max_epochs=9), scores)
    for _ in range(num_jobs):
        schedule.end(schedule.begin())
    return schedule.begun


class TestSuccessiveHalving:
    @pytest.mark.parametrize(
        ("settings", "epochs"),
        [
            ((3, 1, 9, 0), (1, 3, 9)),
            ((3, 1, 9, 1), (3, 9)),  # the paper's brackets
            ((3, 1, 9, 2), (9,)),
            ((3, 1, 26, 0), (1, 3, 9)),
            ((4, 2, 32, 0), (2, 8, 32)),
            ((2, 5, 5, 0), (5,)),
            ((), (1, 4, 16, 64)),
        ],
    )
    def test_epochs_of_the_rungs(self, settings: tuple[int, ...], epochs: tuple[int, ...]) -> None:
        assert SuccessiveHalving(*settings).epochs == epochs

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"eta": 1}, "eta=1"),
            ({"min_epochs": 0}, "min_epochs=0"),
            ({"min_epochs": 5, "max_epochs": 4}, "max_epochs=4"),
            ({"early_stopping_rate": -1}, "early_stopping_rate=-1"),
            ({"early_stopping_rate": 4}, "early_stopping_rate=4"),
        ],
    )
    def test_values_are_checked(self, settings: dict[str, int], message: str) -> None:
        with pytest.raises(InvalidArgumentError, match=f"Received: {message}"):
            SuccessiveHalving(**settings)
        with pytest.raises(InvalidTypeError, match=r"Received: max_epochs=9\.0"):
            ASHAOracle(max_epochs=9.0)  # type: ignore[arg-type]

    def test_best_come_first(self) -> None:
        """With an order that never changes the paper's bracket: 9 jobs, 3 and 1."""
        begun = one_worker({name: -index for index, name in enumerate("abcdefghi")}, 13)
        assert begun == ["a0", "b0", "c0", "a1", "d0", "e0", "f0", "b1", "g0", "h0", "i0", "c1", "a2"]

    def test_ever_better_ones_are_promoted_at_once(self) -> None:
        begun = one_worker({name: index for index, name in enumerate("abcdefghi")}, 12)
        # Of six the best two are e and f: that c is none of them any more takes nothing back.
        assert begun == ["a0", "b0", "c0", "c1", "d0", "d1", "e0", "e1", "e2", "f0", "f1", "f2"]

    def test_equals_in_the_order_they_ended(self) -> None:
        assert SuccessiveHalving(eta=2, max_epochs=2).promotion([{"b": 1, "a": 1, "c": 0}, {}], []) == ("b", 1)

    def test_nobody_leaves_the_last_rung(self) -> None:
        halving = SuccessiveHalving(eta=2, max_epochs=2)
        assert halving.promotion([{}, {"a": 1.0, "b": 2.0, "c": 3.0}], []) is None

    def test_the_highest_rung_comes_first(self) -> None:
        rungs = [{"a": 1.0, "b": 2.0}, {"c": 1.0, "d": 2.0}, {}]
        assert SuccessiveHalving(eta=2, max_epochs=4).promotion(rungs, []) == ("d", 2)
        assert SuccessiveHalving(eta=2, max_epochs=4).promotion(rungs, ["d"]) == ("b", 1)

    def test_three_workers_of_whom_one_is_slow(self) -> None:
        """Worked by hand: rungs of 1, 2 and 4 epochs; the third worker needs twice as long; nobody waits."""
        scores = {"a": 0.5, "b": 0.7, "c": 0.6, "d": 0.4, "e": 0.8, "f": 0.3, "g": 0.65, "h": 0.1, "i": 0.2, "j": 0.9}
        schedule = Schedule(SuccessiveHalving(eta=2, max_epochs=4), scores)
        running: dict[int, tuple[int, str]] = {}  # of each worker: when it ends, and what
        begun: dict[int, list[str]] = {}
        for time in range(7):
            for worker, pace in enumerate((1, 1, 2)):
                ends, job = running.get(worker, (0, ""))
                if ends > time:
                    begun.setdefault(time, []).append("-")
                    continue
                if job:
                    schedule.end(job)
                job = schedule.begin()
                running[worker] = (time + pace * (1, 1, 2)[int(job[1])], job)
                begun.setdefault(time, []).append(job)
        assert begun == {
            0: ["a0", "b0", "c0"],
            1: ["d0", "b1", "-"],  # one of a and b, the better
            2: ["e0", "f0", "c1"],  # of a, b and d still one only; then two of a, b, c, d
            3: ["e1", "g0", "-"],  # two of five: e and b; three of six: e, b and c, all promoted
            4: ["e2", "g1", "h0"],  # e of b and e in the second rung; g in the place of c
            5: ["-", "b2", "-"],  # two of four in the second rung: e and b
            6: ["i0", "-", "j0"],  # of eight the best four are promoted
        }
        assert [list(rung) for rung in schedule.rungs] == [
            ["a0", "b0", "d0", "c0", "e0", "f0", "g0", "h0"],
            ["b1", "e1", "c1", "g1"],
            ["e2"],
        ]


SETTINGS: dict[str, Any] = {"eta": 3, "max_epochs": 9}
SIDE_VALUES = ("tuner/epochs", "tuner/initial_epoch", "tuner/trial_id")


def small_space() -> SearchSpace:
    """20 architectures."""
    return conditional_space().restrict({"expansion": (2,)})


def make_oracle(max_trials: int | None = 40, **settings: Any) -> ASHAOracle:
    return ASHAOracle(max_trials=max_trials, seed=0, **{"space": flat_space(), **SETTINGS, **settings})


def architecture_values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in SIDE_VALUES}


def toy_results(values: dict[str, Any]) -> float:
    """The order of architectures changes with the epochs."""
    score = toy_score(architecture_values(values))
    return score + 0.1 * math.sin(100 * score * values["tuner/epochs"])


class ToyTuner(keras_tuner.Tuner):
    """Hands the values of every trial to a function, which gives the objective."""

    def __init__(self, oracle: Any, directory: Path, run: Callable[[dict[str, Any]], float] = toy_results) -> None:
        super().__init__(oracle, directory=directory, project_name="toy")
        oracle.verbose = 0
        self.run = run

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        return {self.oracle.objective.name: self.run(trial.hyperparameters.values)}


def trial_values(oracle: ASHAOracle) -> list[dict[str, Any]]:
    return [oracle.trials[trial_id].hyperparameters.values for trial_id in oracle.start_order]


def finish(oracle: ASHAOracle, trial: Any, score: float) -> None:
    oracle.update_trial(trial.trial_id, {"val_accuracy": score})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> ASHAOracle:
    oracle = make_oracle(30)
    ToyTuner(oracle, tmp_path_factory.mktemp("whole")).search()
    return oracle


class TestASHAOracle:
    @pytest.mark.parametrize("objective", ["val_accuracy", "val_loss"])
    def test_trials_are_those_of_the_algorithm(self, objective: str, tmp_path: Path) -> None:
        oracle = make_oracle(60, objective=objective)
        ToyTuner(oracle, tmp_path).search()
        sign = 1 if objective == "val_accuracy" else -1
        halving = SuccessiveHalving(**SETTINGS)
        new = iter(RandomStrategy(flat_space(), seed=0).ask(60))
        rungs: tuple[dict[str, float], ...] = ({}, {}, {})
        chosen: dict[str, Architecture] = {}
        promoted: list[str] = []
        for trial_id, values in zip(oracle.start_order, trial_values(oracle), strict=True):
            promotion = halving.promotion(rungs, promoted)
            if promotion is None:
                chosen[trial_id] = next(new)
                expected = {**chosen[trial_id], "tuner/epochs": 1, "tuner/initial_epoch": 0}
                rungs[0][trial_id] = sign * toy_results(values)
            else:
                parent, rung = promotion
                promoted.append(parent)
                chosen[trial_id] = chosen[parent]
                epochs, initial = ((3, 1), (9, 3))[rung - 1]
                side_values = {"tuner/epochs": epochs, "tuner/initial_epoch": initial, "tuner/trial_id": parent}
                expected = {**chosen[parent], **side_values}
                rungs[rung][trial_id] = sign * toy_results(values)
            assert values == expected
        assert oracle.rungs == rungs
        assert len(rungs[2]) >= 2
        assert {e.architecture for e in oracle.strategy.evaluations} == set(chosen.values())

    def test_nobody_waits(self, tmp_path: Path) -> None:
        oracle = make_oracle(eta=2, max_epochs=4)
        ToyTuner(oracle, tmp_path)
        a, b, c = (oracle.create_trial(worker) for worker in "abc")
        finish(oracle, b, 0.7)
        d = oracle.create_trial("b")
        assert {trial.hyperparameters.values["tuner/epochs"] for trial in (a, b, c, d)} == {1}
        finish(oracle, a, 0.7)
        promoted = oracle.create_trial("a")
        assert promoted.hyperparameters.values["tuner/trial_id"] == b.trial_id  # of equals the first that ended
        assert oracle.create_trial("e").hyperparameters.values["tuner/epochs"] == 1

    def test_feasible_initial_and_conditional(self, tmp_path: Path) -> None:
        space = conditional_space()
        oracle = make_oracle(
            30, space=space, feasible=lambda a: a.get("expansion") == 4, initial=[{"expansion": 4, "kernel": 5}]
        )
        ToyTuner(oracle, tmp_path).search()
        architectures = [space.canonical(architecture_values(values)) for values in trial_values(oracle)]
        assert architectures[0] == space.canonical({"expansion": 4, "kernel": 5})
        assert {a["expansion"] for a in architectures} == {4}
        assert [a.to_dict() for a in architectures] == [architecture_values(v) for v in trial_values(oracle)]

    def test_failed_are_not_promoted_and_do_not_count(self, tmp_path: Path) -> None:
        oracle = make_oracle(9, eta=2, max_epochs=4)
        scores = iter([0.5, math.nan, 0.4, math.nan, 0.6, 0.7, 0.2, 0.1, 0.3])
        ToyTuner(oracle, tmp_path, lambda _: next(scores)).search()
        parents = [values.get("tuner/trial_id") for values in trial_values(oracle)]
        # Trial 3 is trial 0 promoted, and fails as trial 1 did. One of three: 4. Two of four: 4 and 0.
        assert parents == [None, None, None, "0", None, "4", None, None, None]
        assert [list(rung) for rung in oracle.rungs] == [["0", "2", "4", "6", "7", "8"], ["5"], []]
        assert len(oracle.strategy.get_state()["failed"]) == 2

    def test_retried_promotion_stays_one(self, tmp_path: Path) -> None:
        runs: list[str | None] = []

        def run(values: dict[str, Any]) -> float:
            runs.append(values.get("tuner/trial_id"))
            if len(runs) == 4:
                raise ValueError("no memory")
            return 0.5

        oracle = make_oracle(5, max_retries_per_trial=1)
        ToyTuner(oracle, tmp_path, run).search()
        assert runs == [None, None, None, "0", "0", None]

    @pytest.mark.parametrize("eta", [2, 3])
    def test_exhausted_space(self, eta: int, tmp_path: Path) -> None:
        oracle = make_oracle(None, space=small_space(), eta=eta)
        tuner = ToyTuner(oracle, tmp_path)
        tuner.search()
        assert len(oracle.rungs[0]) == len(oracle.strategy.evaluations) == small_space().size
        promoted = {values.get("tuner/trial_id") for values in trial_values(oracle)}
        for rung in oracle.rungs[:-1]:
            assert set(sorted(rung, key=rung.__getitem__)[-(len(rung) // eta) :]) <= promoted
        assert oracle.rungs[-1]
        assert tuner.remaining_trials is None

    def test_idle_only_while_a_last_one_may_be_promoted(self, tmp_path: Path) -> None:
        space = flat_space(1, 2)
        oracle = make_oracle(None, space=space, eta=2, max_epochs=2)
        ToyTuner(oracle, tmp_path)
        a, b = (oracle.create_trial(worker) for worker in "ab")
        finish(oracle, a, 0.5)
        assert oracle.create_trial("a").status == "IDLE"
        finish(oracle, b, 0.4)
        promoted = oracle.create_trial("a")
        assert promoted.hyperparameters.values["tuner/trial_id"] == a.trial_id
        assert oracle.create_trial("b").status == "IDLE"
        finish(oracle, promoted, 0.6)
        assert oracle.create_trial("b").status == "STOPPED"

    def test_max_trials_counts_promotions(self, tmp_path: Path) -> None:
        oracle = make_oracle(4)
        tuner = ToyTuner(oracle, tmp_path, lambda _: 0.5)
        assert tuner.remaining_trials == 4
        tuner.search()
        assert [values["tuner/epochs"] for values in trial_values(oracle)] == [1, 1, 1, 3]
        assert tuner.remaining_trials == 0

    def test_stopped_oracle_promotes_no_more(self, tmp_path: Path) -> None:
        oracle = make_oracle()
        ToyTuner(oracle, tmp_path)
        for _ in range(3):
            finish(oracle, oracle.create_trial("a"), 0.5)
        oracle.stop()
        assert oracle.create_trial("a").status == "STOPPED"

    @pytest.mark.parametrize("killed_at", [0, 3, 4, 12, 19, 29])
    def test_killed_and_resumed(self, killed_at: int, uninterrupted: ASHAOracle, tmp_path: Path) -> None:
        runs: list[int] = []

        def run(values: dict[str, Any]) -> float:
            runs.append(1)
            if len(runs) == killed_at + 1:
                raise KeyboardInterrupt
            return toy_results(values)

        with pytest.raises(KeyboardInterrupt):
            ToyTuner(make_oracle(30), tmp_path, run).search()
        resumed = make_oracle(30)
        ToyTuner(resumed, tmp_path, run).search()
        assert len(runs) == 31
        assert trial_values(resumed) == trial_values(uninterrupted)
        assert resumed.rungs == uninterrupted.rungs
        assert resumed.strategy.get_state() == uninterrupted.strategy.get_state()

    def test_killed_before_a_promotion(self, tmp_path: Path) -> None:
        oracle = make_oracle()
        ToyTuner(oracle, tmp_path)
        for _ in range(3):
            finish(oracle, oracle.create_trial("tuner0"), 0.5)
        shutil.copytree(tmp_path / "toy", tmp_path / "killed" / "toy")
        promoted = oracle.create_trial("tuner0").hyperparameters.values
        assert "tuner/trial_id" in promoted
        resumed = make_oracle()
        ToyTuner(resumed, tmp_path / "killed")
        assert resumed.create_trial("tuner0").hyperparameters.values == promoted

    def test_other_settings_are_refused(self, tmp_path: Path) -> None:
        ToyTuner(make_oracle(2), tmp_path).search()
        with pytest.raises(ProjectError, match=r"'max_epochs': 9.*Received: .*'max_epochs': 27"):
            ToyTuner(make_oracle(2, max_epochs=27), tmp_path)

    def test_any_hypermodel_is_searched(self, tmp_path: Path) -> None:
        class Declaring(ToyTuner):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
                hp = trial.hyperparameters
                units = [hp.Choice(f"units_{index}", [1, 2, 4]) for index in range(hp.Int("layers", 1, 3))]
                return {"val_accuracy": sum(units) / 12 + 0.01 * hp.values["tuner/epochs"]}

        oracle = make_oracle(40, space=None)
        Declaring(oracle, tmp_path).search()
        assert oracle.strategy.space.names == ("layers", "units_0", "units_1", "units_2")
        assert len({oracle.architecture(trial) for trial in oracle.trials.values()}) == len(oracle.rungs[0])
        assert len(oracle.rungs[2]) >= 1

    def test_promoted_stays_the_same_when_the_space_has_grown(self, tmp_path: Path) -> None:
        hp = keras_tuner.HyperParameters()
        hp.Int("layers", 1, 3)
        oracle = make_oracle(eta=2, space=None, hyperparameters=hp)
        ToyTuner(oracle, tmp_path)
        first, second = oracle.create_trial("a"), oracle.create_trial("b")
        finish(oracle, first, 0.9)
        second.hyperparameters.Choice("units", list(range(50)), default=7)
        finish(oracle, second, 0.1)
        promoted = oracle.create_trial("a").hyperparameters.values
        assert promoted["tuner/trial_id"] == first.trial_id
        assert architecture_values(promoted) == {"layers": first.hyperparameters.values["layers"], "units": 7}
