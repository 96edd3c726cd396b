"""Keras-Tuner's chief/worker mode, so that neither a killed worker nor a killed chief ends a search.

One process, the chief, has the oracle; the others ask it for trials over gRPC. The roles are those of the environment
variables `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import grpc
from keras_tuner.engine.trial import Trial

# Keras-Tuner has no public names for its roles and its protocol. A test sees that these exist.
from keras_tuner.src import protos
from keras_tuner.src.distribute import utils as roles
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from automl_keras.errors import AutoMLError, SearchError
from automl_keras.tuners.durable_oracle import DurableOracle
from automl_keras.tuners.leases import heartbeat_id, heartbeat_worker

MESSAGE = "nas/message"
_MAX_THREADS = 128  # they are started as needed; a heartbeat should find a free one while all workers wait for trials
_RETRY_PAUSE = 0.2
_POLL = 0.1
# By itself gRPC tries to connect after ever longer pauses, up to two minutes: longer than a lease.
_CHANNEL_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]


def role() -> str | None:
    """What this process is, "chief" or "worker"; `None` without the environment variables."""
    if not roles.has_chief_oracle():
        return None
    return "chief" if roles.is_chief_oracle() else "worker"


class Chief:
    """The calls of a worker to its chief, in place of the generated stub.

    Every call may be repeated: an oracle ignores a second end of a trial, and gives a worker that
    asks again the trial that it already has.
    """

    def __init__(self, stub_class: Callable[[grpc.Channel], Any], patience: float) -> None:
        self.address = _address()
        self.patience = patience
        self.served_values: list[str] = []
        self.error: SearchError | None = None  # why there is nobody to call any more
        self._stub = stub_class(grpc.insecure_channel(self.address, options=_CHANNEL_OPTIONS))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._call, name)

    @contextmanager
    def heartbeats(self, worker: str, seconds: float) -> Iterator[None]:
        """Beats every so many seconds, in a thread of its own, while the block runs."""
        request = protos.get_service().GetTrialRequest(trial_id=heartbeat_id(worker))
        self.GetTrial(request)  # known before it has a trial
        stopped = threading.Event()

        def beat() -> None:
            while not stopped.wait(seconds):
                # Whoever runs the trials decides how long to wait for a chief that is away.
                with suppress(grpc.RpcError):
                    self._stub.GetTrial(request, wait_for_ready=True, timeout=seconds)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _call(self, name: str, request: Any, **_: Any) -> Any:
        if self.error is not None:
            raise self.error
        deadline = time.monotonic() + self.patience
        while True:
            try:
                timeout = max(deadline - time.monotonic(), _RETRY_PAUSE)
                response = getattr(self._stub, name)(request, wait_for_ready=True, timeout=timeout)
                break
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.ABORTED:
                    self.error = SearchError(f"The chief at {self.address} ended the search: {error.details()}")
                elif error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise SearchError(f"The chief at {self.address} refused {name}: {error.details()}") from error
                elif time.monotonic() >= deadline:
                    waited = f"No chief answered at {self.address} for {self.patience:g} seconds"
                    self.error = SearchError(f"{waited}: it has ended, or was killed")
                if self.error is not None:
                    raise self.error from error
                time.sleep(_RETRY_PAUSE)
        if name == "CreateTrial":
            self.served_values = list(response.trial.hyperparameters.values.values)
        return response


class _Servicer(OracleServicer, grpc.ServerInterceptor):
    """Keras-Tuner's server side: one call at a time, and with an end.

    An error of the oracle while it makes or ends a trial ends the search: each worker is told so when it asks
    for its next trial. An error of any other call is the business of the worker that called.
    """

    def __init__(self, oracle: DurableOracle) -> None:
        super().__init__(oracle)
        self.error: Exception | None = None
        self._last_call = time.monotonic()
        self._lock = threading.RLock()

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Every call but a heartbeat waits for its turn; what it raises goes to the worker."""
        handler = continuation(handler_call_details)

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            if heartbeat_worker(getattr(request, "trial_id", "")) is not None:
                return handler.unary_unary(request, context)  # must not wait for an oracle that thinks for long
            with self._lock:
                self._last_call = time.monotonic()
                try:
                    return handler.unary_unary(request, context)
                except Exception as error:
                    code = grpc.StatusCode.INTERNAL if self.error is None else grpc.StatusCode.ABORTED
                    context.abort(code, _text(error))

        return handler and grpc.unary_unary_rpc_method_handler(
            call, handler.request_deserializer, handler.response_serializer
        )

    def CreateTrial(self, request: Any, context: grpc.ServicerContext) -> Any:
        """As Keras-Tuner's, until there was an error."""
        if self.error is None:
            with self._fatal():
                return super().CreateTrial(request, context)
        self.oracle.tuner_ids.discard(request.tuner_id)
        self.oracle.leases.leave(request.tuner_id)
        raise self.error

    def EndTrial(self, request: Any, context: grpc.ServicerContext) -> Any:
        """As Keras-Tuner's, with the reason of a failure."""
        trial = Trial.from_proto(request.trial)
        trial.message = trial.hyperparameters.values.pop(MESSAGE, None)
        self.oracle.get_trial(trial.trial_id)  # one that is not known, as of an earlier search, is no fault of this one
        with self._fatal():
            self.oracle.end_trial(trial)
        return protos.get_service().EndTrialResponse()

    def is_over(self) -> bool:
        """Whether there is no more to do, and every worker knows it or is gone."""
        with self._lock:
            with self._fatal():
                self.oracle.expire_leases()
            if self.oracle.leases.workers:
                return False
            if self.error is not None:
                return True
            return not self.oracle.ongoing_trials and (self.stop_triggered or self._is_left_behind())

    def _is_left_behind(self) -> bool:
        """Whether this is a chief that was started again after the last trial, and no worker is left to ask it."""
        oracle = self.oracle
        has_ended = oracle.max_trials is not None and len(oracle.end_order) >= oracle.max_trials
        return has_ended and time.monotonic() - self._last_call > oracle.leases.seconds

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = self.error or error


def serve(oracle: DurableOracle) -> None:
    """Serve workers until the search is over, and raise what ended it."""
    servicer = _Servicer(oracle)
    server = grpc.server(
        futures.ThreadPoolExecutor(_MAX_THREADS),
        interceptors=[servicer],
        options=[("grpc.so_reuseport", 0)],  # else a second chief could listen on the same port
    )
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(_address())
    except RuntimeError as error:
        raise SearchError(f"The chief cannot listen at {_address()}; another one may run there: {error}") from error
    server.start()
    try:
        while not servicer.is_over():
            time.sleep(_POLL)
    finally:
        server.stop(grace=1.0).wait()  # the last answers are on their way
    if servicer.error is not None:
        raise servicer.error


def _address() -> str:
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, AutoMLError) else f"{type(error).__name__}: {error}"
