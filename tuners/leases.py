"""`Leases`: which worker runs which trial, and whether it is still alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from automl_keras.errors import InvalidArgumentError

_HEARTBEAT = "heartbeat/"


def heartbeat_id(worker: str) -> str:
    """The name under which a worker asks for a "trial" to say that it is alive: Keras-Tuner has no call for it."""
    return _HEARTBEAT + worker


def heartbeat_worker(trial_id: str) -> str | None:
    """The worker whose heartbeat this is, `None` if it is the id of a trial."""
    return trial_id.removeprefix(_HEARTBEAT) if trial_id.startswith(_HEARTBEAT) else None


class Eviction(NamedTuple):
    """A worker that is taken for dead.

    Attributes:
        worker: Its name.
        trial_id: The trial it ran; `None` if it had none.
        is_final: The trial has lost as many workers as it may, so it is not to be repeated.
    """

    worker: str
    trial_id: str | None
    is_final: bool


class Leases:
    """Which worker runs which trial, and which workers are still alive.

    A worker holds the trial it runs until it ends it, or until nothing was heard of it for `seconds`.
    That is only believed of workers that send heartbeats: one that sends none keeps its trial for ever,
    for a long trial looks like death. Workers without a trial ask for one again and again, so those are
    gone after `seconds` in any case.

    How an oracle uses it, `worker` being Keras-Tuner's `tuner_id`:

    | call | with the leases |
    |---|---|
    | `create_trial(worker)` | first `heard(worker)` and the evictions, see below; then, if the trial is RUNNING, `grant(worker, trial_id)`; STOPPED while `watched` is not empty becomes IDLE, as a worker may yet die; STOPPED means `leave(worker)` |
    | `get_trial(trial_id)` | `heartbeat_worker(trial_id)` is a worker: `beat(worker)`, and any trial is the answer |
    | `update_trial(trial_id, ...)` | `renew(trial_id)`; of a trial that has ended it is ignored |
    | `end_trial(trial)` | ignored if the trial has ended: the first result wins, also that of an evicted worker; ignored if the trial failed and nobody holds it, or if what an evicted worker reported is forgotten (`has_lost`). Then `release(trial_id)`; if it waits to be repeated it no longer does |
    | `get_state`, `set_state`, `reload` | those of the leases; after a restart `held` are the trials that still run somewhere, every other unfinished one is repeated |

    An eviction takes the worker from `ongoing_trials` and `tuner_ids`. Its trial waits to be repeated, or ends FAILED
    if the eviction `is_final`. All methods may be called from several threads.

    Args:
        seconds: How long a worker may be silent. Longer than it takes to connect again to a chief that was restarted,
            some 2 seconds. May be changed at any time.
        max_losses: A trial that lost so many workers is not repeated: it may be what kills them.
        clock: The time in seconds.

    Raises:
        InvalidArgumentError: If `seconds` or `max_losses` is not positive.
    """  # noqa: E501 - a table

    def __init__(
        self, seconds: float = 60.0, *, max_losses: int = 3, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if seconds <= 0:
            raise InvalidArgumentError(f"`seconds` must be positive. Received: seconds={seconds}")
        if max_losses < 1:
            raise InvalidArgumentError(f"`max_losses` must be at least 1. Received: max_losses={max_losses}")
        self.seconds = seconds
        self.max_losses = max_losses
        self._clock = clock
        self._workers: dict[str, _Worker] = {}
        self._beating: set[str] = set()
        self._left: set[str] = set()
        self._losses: dict[str, int] = {}
        # Heartbeats arrive while another thread holds the oracle's lock.
        self._lock = threading.RLock()

    @property
    def workers(self) -> frozenset[str]:
        """All workers that were heard of, except for those that left, and those that are taken for dead."""
        with self._lock:
            return frozenset(self._workers)

    @property
    def held(self) -> dict[str, str]:
        """The trial of each worker that runs one."""
        with self._lock:
            return {name: worker.trial_id for name, worker in self._workers.items() if worker.trial_id is not None}

    @property
    def watched(self) -> dict[str, str]:
        """Of `held` the trials that would not be lost with their worker: it sends heartbeats."""
        with self._lock:
            return {worker: trial_id for worker, trial_id in self.held.items() if worker in self._beating}

    def heard(self, worker: str) -> None:
        """A worker asked for a trial, so it is alive."""
        with self._lock:
            self._left.discard(worker)
            self._workers.setdefault(worker, _Worker(0.0)).last_heard = self._clock()

    def beat(self, worker: str) -> None:
        """A worker sent a heartbeat. From now on its silence means that it is dead."""
        with self._lock:
            self._beating.add(worker)
            # One that left may have a last heartbeat on the way; one that was taken for dead comes back.
            if worker not in self._left:
                self.heard(worker)

    def grant(self, worker: str, trial_id: str) -> None:
        """A worker runs a trial from now on."""
        with self._lock:
            self.heard(worker)
            self._workers[worker].trial_id = trial_id

    def renew(self, trial_id: str) -> None:
        """Something was heard of a trial, so its worker is alive."""
        with self._lock:
            for worker, held in self.held.items():
                if held == trial_id:
                    self.heard(worker)

    def release(self, trial_id: str) -> None:
        """A trial has ended, or is to be repeated: nobody holds it any more."""
        with self._lock:
            for worker, held in self.held.items():
                if held == trial_id:
                    self._workers[worker].trial_id = None

    def has_lost(self, trial_id: str) -> bool:
        """Whether a worker that ran the trial was taken for dead."""
        with self._lock:
            return trial_id in self._losses

    def leave(self, worker: str) -> None:
        """A worker was told to stop."""
        with self._lock:
            self._workers.pop(worker, None)
            self._left.add(worker)

    def evict(self) -> list[Eviction]:
        """Take the workers that were silent for too long for dead, and forget them."""
        with self._lock:
            silent = [name for name in self._workers if self._is_silent(name)]
            return [self._lose(name, self._workers.pop(name).trial_id) for name in silent]

    def get_state(self) -> dict[str, Any]:
        """What has to survive a restart, as JSON; who holds what is known from the trials."""
        with self._lock:
            return {"workers": sorted(self._beating & self._workers.keys()), "losses": dict(self._losses)}

    def set_state(self, state: dict[str, Any], held: Mapping[str, str]) -> None:
        """Restore from `get_state`. Every worker that sends heartbeats has `seconds` from now to be heard of again.

        The others are forgotten, with the trials they held: nothing would ever tell that they are gone.

        Args:
            state: What `get_state` returned.
            held: The trials that were running, by worker.
        """
        with self._lock:
            now = self._clock()
            self._workers = {name: _Worker(now, held.get(name)) for name in state["workers"]}
            self._beating = set(self._workers)
            self._losses = dict(state["losses"])

    def _is_silent(self, name: str) -> bool:
        worker = self._workers[name]
        if worker.trial_id is not None and name not in self._beating:
            return False
        return self._clock() - worker.last_heard > self.seconds

    def _lose(self, worker: str, trial_id: str | None) -> Eviction:
        if trial_id is None:
            return Eviction(worker, None, is_final=False)
        self._losses[trial_id] = self._losses.get(trial_id, 0) + 1
        return Eviction(worker, trial_id, is_final=self._losses[trial_id] >= self.max_losses)


@dataclass
class _Worker:
    last_heard: float
    trial_id: str | None = None
