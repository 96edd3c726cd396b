"""`LatencyTable`: how long the file of any network takes, from the times of its operations."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation.file_types import Quantization
from automl_keras.evaluation.latency_cache import cache_path, cpu_name, replace_text
from automl_keras.evaluation.latency_fit import FittedTimes
from automl_keras.evaluation.latency_operations import InputType, SmallNetworkSpec, export_untrained, network_operations
from automl_keras.evaluation.latency_profile import ProfiledFile
from automl_keras.export import runtime_name
from automl_keras.export.flatbuffer import read
from automl_keras.export.operations import OperationSpec, least_latency, operations, time_operation
from automl_keras.search_space import NetworkSpace, NetworkSpec

FORMAT = 1
NETWORKS = 24  # whose operations are timed; twice as many halve the number of fitted ones and take twice as long
WHOLE_SECONDS = 0.1


class LatencyTable:
    """Predicts the latency of files on one device: milliseconds for one image, one thread.

    A prediction is the sum of the times of the operations, plus a constant for the file. An operation that was measured
    counts with its measured time, any other with a time fitted to its like (`FittedTimes`). What runs
    once for each operation, such as the interpreter's step from one to the next, is part of its time.

    ```python
    space = image_space((28, 28, 1), num_classes=10)
    table = LatencyTable.measure(space)
    milliseconds = table.predict(space.network_spec(space.default()))
    ```

    Args:
        entries: Milliseconds of the measured operations, above 0; at least one.
        overhead_ms: What a file takes beyond the sum of its operations.
        runtime: Name and version of the runtime that was measured.
        device: The device that was measured.

    Raises:
        InvalidArgumentError: If there is no entry, or a time is not positive and finite.
    """

    def __init__(
        self, entries: Mapping[OperationSpec, float], *, overhead_ms: float = 0.0, runtime: str, device: str
    ) -> None:
        wrong = [value for value in entries.values() if not (math.isfinite(value) and value > 0)]
        if not entries or wrong:
            raise InvalidArgumentError(
                f"`entries` must hold at least one time, all positive and finite. Received: {wrong or entries}"
            )
        if not (math.isfinite(overhead_ms) and overhead_ms >= 0):
            raise InvalidArgumentError(
                f"`overhead_ms` must be finite and not negative. Received: overhead_ms={overhead_ms}"
            )
        self.entries = dict(entries)
        self.overhead_ms = overhead_ms
        self.runtime = runtime
        self.device = device
        self._fitted = FittedTimes(self.entries)

    def predict(
        self, spec: NetworkSpec, *, input_dtype: InputType = "uint8", quantization: Quantization = "int8"
    ) -> float:
        """Milliseconds for one image.

        Args:
            spec: The layers.
            input_dtype: Pixel type of the file.
            quantization: How the file stores weights and activations.

        Raises:
            InvalidArgumentError: If the table holds no operation of a kind that the network has.
        """
        return self.overhead_ms + sum(
            self.entries[operation] if operation in self.entries else self._fitted(operation)
            for operation in network_operations(spec, input_dtype, quantization)
        )

    @classmethod
    def measure(
        cls,
        space: NetworkSpace,
        *,
        input_dtype: InputType = "uint8",
        quantization: Quantization = "int8",
        folder: str | Path | None = None,
        networks: int = NETWORKS,
        seed: int = 0,
    ) -> LatencyTable:
        """The table of this machine, for the networks of a space; takes seconds, and next to nothing the second time.

        The operations of a few random networks are timed, each in a file of its own. They are cut out of the
        file of one small network and resized, so no network of the space has to be made.

        Args:
            space: Whose networks are to be predicted.
            input_dtype: Pixel type of the files.
            quantization: How the files store weights and activations.
            folder: Where the table is kept, one file for each runtime and processor; the user's cache directory
                by default. A file that cannot be read, or is of another runtime or processor, is replaced. Where
                nothing can be written, nothing is kept.
            networks: How many random networks; fewer are faster, and leave more operations to the fit.
            seed: Seeds the draw.

        Raises:
            InvalidArgumentError: If `networks` is below 1.
        """
        if networks < 1:
            raise InvalidArgumentError(f"`networks` must be at least 1. Received: networks={networks}")
        runtime, device = runtime_name(), cpu_name()
        path = cache_path(folder, runtime, device)
        known = _kept(path, runtime, device)
        drawn = (space.sample(np.random.default_rng((seed, index))) for index in range(networks))
        wanted = dict.fromkeys(
            operation
            for architecture in drawn
            for operation in network_operations(space.network_spec(architecture), input_dtype, quantization)
        )
        missing = [operation for operation in wanted if known is None or operation not in known.entries]
        if known is not None and not missing:
            return known
        entries, overhead_ms = _timed(missing, space.image_shape[2], input_dtype, quantization)
        if known is not None:
            entries, overhead_ms = {**entries, **known.entries}, known.overhead_ms
        table = cls(entries, overhead_ms=overhead_ms, runtime=runtime, device=device)
        with suppress(OSError):  # a table that cannot be kept is measured again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            table.save(path)
        return table

    @classmethod
    def from_profile_csv(cls, files: Sequence[ProfiledFile], *, runtime: str, device: str) -> LatencyTable:
        """The table of a phone, from files that TFLite's `benchmark_model` profiled there.

        `docs/latency.md` says how. An operation that is in several files counts with its mean.

        Args:
            files: Profiles and the files they are of; 8 random networks of a space are a good start.
            runtime: Name and version of the runtime, such as "benchmark_model 2.21".
            device: Name of the phone.

        Raises:
            InvalidArgumentError: If there is no file, or a profile does not fit its file.
        """
        times: dict[OperationSpec, list[float]] = {}
        beyond: list[float] = []
        for file in files:
            rows = file.times()
            for operation, milliseconds in rows:
                times.setdefault(operation, []).append(milliseconds)
            if file.latency_ms is not None:
                beyond.append(file.latency_ms - sum(milliseconds for _, milliseconds in rows))
        overhead_ms = max(0.0, float(np.median(beyond))) if beyond else 0.0
        entries = {operation: float(np.mean(values)) for operation, values in times.items()}
        return cls(entries, overhead_ms=overhead_ms, runtime=runtime, device=device)

    def save(self, path: str | Path) -> None:
        """Write the table as JSON; a file that is there is replaced at once, never half."""
        replace_text(Path(path), json.dumps(self.to_dict(), indent=1))

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Read what `save` wrote.

        Raises:
            OSError: If the file cannot be read.
            InvalidArgumentError: If it is no latency table.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text("utf-8")))
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            raise InvalidArgumentError(f"The file must be a latency table. Received: path={path} ({error})") from error

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return {
            "format": FORMAT,
            "runtime": self.runtime,
            "device": self.device,
            "overhead_ms": self.overhead_ms,
            "entries": [{**asdict(spec), "milliseconds": value} for spec, value in self.entries.items()],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LatencyTable:
        """Rebuild a table from `to_dict`.

        Raises:
            InvalidArgumentError: If it is of another format.
        """
        if data["format"] != FORMAT:
            raise InvalidArgumentError(f"A latency table must have the format {FORMAT}. Received: {data['format']!r}")
        rows = [dict(row) for row in data["entries"]]
        entries = {OperationSpec(**row): milliseconds for row in rows for milliseconds in [row.pop("milliseconds")]}
        return cls(entries, overhead_ms=data["overhead_ms"], runtime=str(data["runtime"]), device=str(data["device"]))


def _kept(path: Path, runtime: str, device: str) -> LatencyTable | None:
    """The table in the cache, if there is one of this runtime and device."""
    try:
        table = LatencyTable.load(path)
    except (OSError, InvalidArgumentError):  # not there, or not ours: it is measured anew
        return None
    return table if (table.runtime, table.device) == (runtime, device) else None


def _timed(
    wanted: Iterable[OperationSpec], channels: int, input_dtype: InputType, quantization: Quantization
) -> tuple[dict[OperationSpec, float], float]:
    """Milliseconds of operations, and what a file takes beyond the sum of its own."""
    with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
        path = export_untrained(
            SmallNetworkSpec((8, 8, channels), 2),
            Path(folder) / "small.tflite",
            input_dtype=input_dtype,
            quantization=quantization,
        )
        data = path.read_bytes()
    model = read(data)
    templates = {_template(spec): operator for operator, spec in operations(model)}
    own = [spec for _, spec in operations(model)]
    entries = {spec: time_operation(model, templates[_template(spec)], spec) for spec in dict.fromkeys((*own, *wanted))}
    whole = least_latency(data, seconds=WHOLE_SECONDS)
    return entries, max(0.0, whole - sum(entries[spec] for spec in own))


def _template(spec: OperationSpec) -> tuple[str, int, str]:
    """What an operation must share with the one it is made from."""
    return spec.kind, spec.inputs, spec.dtype
