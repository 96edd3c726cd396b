"""Ray for the time of a search: one that runs already, a cluster, or a local one that only listens on loopback."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from automl_keras.errors import InvalidArgumentError, MissingDependencyError, SearchError

_LOOPBACK = "127.0.0.1"
_LOCAL_ENVIRONMENT = {
    # Otherwise Ray listens on all interfaces, whatever `_node_ip_address` says. It does so on Linux too, its
    # name notwithstanding. Read when Ray is imported.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextmanager
def ray_session(
    address: str | None, num_workers: int | None, num_cpus: float, num_gpus: float, max_retries: int
) -> Iterator[int]:
    """Ray, initialised; shut down at the end unless it was initialised before. Gives the number of workers.

    Arguments as for `search_on_ray`.

    Raises:
        MissingDependencyError: If Ray is not installed.
        SearchError: If a local Ray could be reached from other machines.
        InvalidArgumentError: If there is no room for one worker.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    is_local = address == "local"
    with _environment(_LOCAL_ENVIRONMENT if is_local else {}), _sigterm_handler():
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("Ray is not installed: pip install automl-keras[ray]") from error
        if ray.is_initialized():
            yield _room(num_workers, num_cpus, num_gpus, is_final=False)
            return
        try:
            if is_local:
                _start(None if num_workers is None else math.ceil(num_workers * num_cpus), max_retries)
            else:
                ray.init(address)
            yield _room(num_workers, num_cpus, num_gpus, is_final=is_local)
        finally:
            ray.shutdown()


def _start(num_cpus: int | None, max_retries: int) -> None:
    import ray

    if ray.util.get_node_ip_address() != _LOOPBACK:
        raise SearchError(
            "A local Ray would listen on all network interfaces, because it was imported before. Import it later, "
            "set the environment variable RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before the import, or call `ray.init` "
            "yourself"
        )
    ray.init(
        "local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address=_LOOPBACK,
        _system_config={
            "task_oom_retries": max_retries,  # by default for ever
            "worker_niceness": 0,  # by default 15: anything else on the machine would come first
        },
    )


def _room(num_workers: int | None, num_cpus: float, num_gpus: float, *, is_final: bool) -> int:
    """The number of workers; as many as there is room for, unless it is given.

    Args:
        num_workers: As given.
        num_cpus: Of a worker.
        num_gpus: Of a worker.
        is_final: No machine will join, so there must be room for one worker.
    """
    import ray

    total = ray.cluster_resources()
    wanted = {name: amount for name, amount in (("CPU", num_cpus), ("GPU", num_gpus)) if amount > 0}
    room = min((int(total.get(name, 0.0) / amount) for name, amount in wanted.items()), default=1)
    if room < 1 and (is_final or num_workers is None):
        there = {name: total.get(name, 0.0) for name in wanted}
        raise InvalidArgumentError(
            f"`num_cpus` and `num_gpus` of one worker must not exceed what Ray has, {there}. "
            f"Received: num_cpus={num_cpus}, num_gpus={num_gpus}"
        )
    return num_workers or room


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables; at the end put them back, and those of Ray, which sets some too."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"]:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@contextmanager
def _sigterm_handler() -> Iterator[None]:
    """Put the handler of SIGTERM back, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:  # else it was not set by Python, and Python cannot put it back
            signal.signal(signal.SIGTERM, before)
