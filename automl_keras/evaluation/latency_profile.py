"""Reading the operation profiles of TFLite's `benchmark_model`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_keras.errors import InvalidArgumentError
from automl_keras.export.operations import MIN_MS, OperationSpec, operation_specs

SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs"
HEADER = "node type,"

# How a profile names an operation: as the schema does, or as XNNPACK calls the kernel that runs it.
NAMES = {
    "CONV_2D": ("Convolution", "Fully Connected"),  # the latter runs 1x1 convolutions
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "FULLY_CONNECTED": ("Fully Connected",),
    "ADD": ("Add",),
    "MUL": ("Multiply",),
    "AVERAGE_POOL_2D": ("Average Pooling",),
    "MAX_POOL_2D": ("Max Pooling",),
    "MEAN": ("Mean", "Global Average Pooling"),
    "QUANTIZE": ("Convert",),
    "DEQUANTIZE": ("Convert",),
    "SOFTMAX": ("Softmax",),
}


@dataclass(frozen=True)
class ProfiledFile:
    """A file that was profiled on a device.

    Attributes:
        csv: What `--profiling_output_csv_file` wrote.
        tflite: The file that was profiled.
        latency_ms: Milliseconds of the whole file, measured without profiling; `None` if it was not.
    """

    csv: str | Path
    tflite: str | Path
    latency_ms: float | None = None

    def times(self) -> list[tuple[OperationSpec, float]]:
        """Every operation of the file with its milliseconds, in the order they run.

        Raises:
            InvalidArgumentError: If the profile is none, or of another file.
        """
        rows = list(_rows(Path(self.csv).read_text("utf-8").splitlines()))
        specs = operation_specs(Path(self.tflite).read_bytes())
        self._check(rows, specs)
        # The clock of the profile counts microseconds; what is shorter may come out as 0.
        return [(spec, max(MIN_MS, row.milliseconds)) for spec, row in zip(specs, rows, strict=True)]

    def _check(self, rows: Sequence[_Row], specs: Sequence[OperationSpec]) -> None:
        if len(rows) != len(specs):
            raise InvalidArgumentError(
                f"A profile must have a row for each of the {len(specs)} operations of its file. "
                f"Received: {len(rows)} rows in {self.csv}"
            )
        for number, (row, spec) in enumerate(zip(rows, specs, strict=True)):
            if not row.name.startswith((spec.kind, *NAMES.get(spec.kind, ()))) or row.times_called != 1:
                raise InvalidArgumentError(
                    f"Row {number} of a profile must be operation {number} of its file, {spec.kind}, called once. "
                    f"Received: {row.name!r}, called {row.times_called} times, in {self.csv}"
                )


@dataclass(frozen=True)
class _Row:
    name: str
    milliseconds: float
    times_called: int


def _rows(lines: Sequence[str]) -> Iterator[_Row]:
    """The rows of the section in run order, which comes first.

    Values are not quoted, and the first and the last one may hold commas: "Convolution (NHWC, QC8) IGEMM". What is
    between them are numbers, some with a percent sign. Releases differ in how many: the header says it.
    """
    start = next((number for number, line in enumerate(lines) if SECTION in line), len(lines))
    headers = (number for number in range(start, len(lines)) if lines[number].startswith(HEADER))
    header = next(headers, len(lines))
    columns = [name.strip() for name in lines[header].split(",")][1:-1] if header < len(lines) else []
    pattern = re.compile("(.+?)" + r", *([-+.\deE]+)%?" * len(columns) + ", *(.*)")
    for line in lines[header + 1 :]:
        match = pattern.fullmatch(line.strip())
        if match is None:
            return
        values = dict(zip(columns, match.groups()[1:-1], strict=True))
        yield _Row(match[1], float(values["avg_ms"]), int(values["times called"]))
