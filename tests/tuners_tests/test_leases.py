import json

import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.tuners.leases import Eviction, Leases, heartbeat_id, heartbeat_worker
from tests.clock import Clock


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(10.0, max_losses=2, clock=clock)


def start(leases: Leases, worker: str, trial_id: str) -> None:
    """As a worker that sends heartbeats does."""
    leases.beat(worker)
    leases.heard(worker)
    leases.grant(worker, trial_id)


def test_a_trial_is_held_until_it_ends(leases: Leases) -> None:
    start(leases, "a", "0")
    start(leases, "b", "1")
    assert leases.held == {"a": "0", "b": "1"}
    leases.release("0")
    assert leases.held == {"b": "1"}
    assert leases.workers == {"a", "b"}
    leases.leave("a")
    assert leases.workers == {"b"}


@pytest.mark.parametrize("sign", ["heard", "beat", "renew"])
def test_every_sign_of_life_renews(sign: str, leases: Leases, clock: Clock) -> None:
    start(leases, "a", "0")
    clock.now += 9
    getattr(leases, sign)("0" if sign == "renew" else "a")
    clock.now += 9
    assert leases.evict() == []
    clock.now += 2
    assert leases.evict() == [Eviction("a", "0", is_final=False)]
    assert leases.evict() == []
    assert leases.held == {} and leases.workers == frozenset()


def test_only_the_silent_one_is_evicted(leases: Leases, clock: Clock) -> None:
    start(leases, "a", "0")
    start(leases, "b", "1")
    clock.now += 9
    leases.renew("1")
    clock.now += 2
    assert leases.evict() == [Eviction("a", "0", is_final=False)]
    assert leases.held == {"b": "1"}


def test_one_without_heartbeats_keeps_its_trial_but_not_its_place(leases: Leases, clock: Clock) -> None:
    leases.grant("plain", "0")
    clock.now += 10_000
    assert leases.evict() == []
    leases.release("0")
    assert leases.evict() == [Eviction("plain", None, is_final=False)]


def test_a_trial_that_loses_its_workers_is_given_up(leases: Leases, clock: Clock) -> None:
    finals = []
    for worker in ("a", "b"):
        start(leases, worker, "poison")
        clock.now += 11
        finals += [eviction.is_final for eviction in leases.evict()]
    assert finals == [False, True]


def test_an_evicted_worker_can_come_back(leases: Leases, clock: Clock) -> None:
    start(leases, "a", "0")
    clock.now += 11
    leases.evict()
    start(leases, "b", "0")
    leases.beat("a")  # it still works on the trial, and does not disturb the other one
    assert leases.held == {"b": "0"} and leases.workers == {"a", "b"}
    leases.release("0")  # by the late result of `a`
    assert leases.held == {} and leases.workers == {"a", "b"}
    start(leases, "a", "1")
    clock.now += 9
    leases.beat("a")
    clock.now += 9
    assert [eviction.worker for eviction in leases.evict()] == ["b"]


def test_the_last_heartbeat_of_one_that_left_does_not_bring_it_back(leases: Leases) -> None:
    start(leases, "a", "0")
    leases.release("0")
    leases.leave("a")
    leases.beat("a")
    assert leases.workers == frozenset()


def test_restart(leases: Leases, clock: Clock) -> None:
    start(leases, "a", "0")
    clock.now += 11
    leases.evict()
    start(leases, "a", "0")
    start(leases, "idle", "1")
    leases.release("1")
    leases.grant("plain", "2")
    assert leases.watched == {"a": "0"}
    state, held = json.loads(json.dumps(leases.get_state())), leases.held
    clock.now += 1_000  # while there was no chief
    restarted = Leases(10.0, max_losses=2, clock=clock)
    restarted.set_state(state, held)
    assert restarted.held == {"a": "0"}
    assert restarted.workers == {"a", "idle"}
    clock.now += 9
    assert restarted.evict() == []
    restarted.heard("idle")
    clock.now += 2
    assert restarted.evict() == [Eviction("a", "0", is_final=True)]
    assert restarted.workers == {"idle"}


def test_heartbeats_are_no_trials() -> None:
    assert heartbeat_worker(heartbeat_id("worker/1")) == "worker/1"
    assert heartbeat_worker("0042") is None


@pytest.mark.parametrize("settings", [{"seconds": 0.0}, {"seconds": -1.0}, {"max_losses": 0}])
def test_arguments_are_checked(settings: dict[str, float]) -> None:
    [name] = settings
    with pytest.raises(InvalidArgumentError, match=f"Received: {name}="):
        Leases(**settings)
