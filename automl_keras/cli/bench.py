"""`automl-keras bench`: how long a `.tflite` file takes on this machine, in all and operation by operation."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from automl_keras.cli.arguments import counts
from automl_keras.cli.command import Answer, Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a .tflite file")
    parser.add_argument(
        "--threads",
        type=counts,
        default=_powers_of_two(os.cpu_count() or 1),
        metavar="N,N",
        help="numbers of threads to try, such as 1,2,4; unless given, powers of two up to the number of cores",
    )


def _powers_of_two(most: int) -> list[int]:
    return [2**power for power in range(most.bit_length())]


def _run(options: Namespace) -> Answer:
    from automl_keras.cli.file_facts import parsed, try_to_run
    from automl_keras.cli.tflite_file import read_bytes
    from automl_keras.evaluation.latency_cache import cpu_name
    from automl_keras.export import median_latency, runtime_name
    from automl_keras.reporting import format_table

    data = read_bytes(options.file)
    model = parsed(data)
    try_to_run(data, model)  # in a process of its own: one that it ends is not this one
    latencies = [{"threads": count, "latency_ms": median_latency(data, num_threads=count)} for count in options.threads]
    facts = {"path": options.file, "runtime": runtime_name(), "device": cpu_name(), "latencies": latencies}
    text = [
        f"{options.file} with {facts['runtime']} on {facts['device']}: milliseconds for one image, median of many runs",
        format_table(latencies),
    ]
    try:
        rows = _operations(model)
    except Exception as error:  # whatever operations of another make than ours lead to
        reason = f"{type(error).__name__}: {error}"
        text.append(f"Its operations cannot be timed one by one: {reason}")
        return Answer(facts | {"operations": [], "operations_error": reason}, "\n\n".join(text))
    text += ["Each operation in a file of its own, one thread; such times need not add up to that of the whole file"]
    text.append(format_table([{**row, "input": " ".join(map(str, row["input"]))} for row in rows]))
    return Answer(facts | {"operations": rows, "operations_error": None}, "\n\n".join(text))


def _operations(model: Any) -> list[dict[str, Any]]:
    """A row for each operation, in the order they run; those that are alike are timed once."""
    from automl_keras.export.operations import OperationSpec, operations, time_operation

    times: dict[OperationSpec, float] = {}
    specs = []
    for operator, spec in operations(model):
        specs.append(spec)
        if spec not in times:
            times[spec] = time_operation(model, operator, spec)
    total = sum(times[spec] for spec in specs)
    return [
        {
            "operation": spec.kind,
            "input": [spec.height, spec.width, spec.in_channels],
            "out_channels": spec.out_channels,
            "kernel": spec.kernel,
            "stride": spec.stride,
            "dtype": spec.dtype.lower(),
            "macs": spec.macs,
            "latency_ms": times[spec],
            "share": times[spec] / total,
        }
        for spec in specs
    ]


COMMAND = Command(
    name="bench",
    summary="time a .tflite file on this machine, by threads and by operation",
    examples=("automl-keras bench model.tflite", "automl-keras bench model.tflite --threads 1,2 --json"),
    add_arguments=_add_arguments,
    run=_run,
)
