import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from automl_keras import ImageClassifier
from automl_keras.cli.file_facts import parsed
from automl_keras.cli.tflite_file import archive_size, metadata_bytes, parse_metadata, read_labels
from automl_keras.data import DatasetInfo
from automl_keras.errors import ExportError
from automl_keras.export.flatbuffer import is_constant, read, serialize
from automl_keras.export.metadata import append_labels, classifier_metadata
from tests.cli_tests.conftest import Workplace, run


def inspect(path: str | Path) -> tuple[int, dict[str, Any]]:
    code, output = run("inspect", str(path), "--json")
    return code, json.loads(output)


def labelled(model: Any, labels: tuple[str, ...] = ("cat", "dog")) -> bytes:
    return append_labels(serialize(model), labels)


def test_a_whole_file(workplace: Workplace) -> None:
    code, facts = inspect("model.tflite")
    report = ImageClassifier.load("projects/photos").report_
    assert (code, facts["problems"]) == (0, [])
    assert (facts["bits"], facts["min_runtime"], facts["ram_kb"]) == (report.bits, report.min_runtime, report.ram_kb)
    assert {name: tuple(types) for name, types in facts["dtypes"].items()} == report.dtypes
    assert facts["inputs"] == [
        {"name": "image", "shape": [1, 8, 8, 1], "dtype": "uint8", "scale": 1.0, "zero_point": 0}
    ]
    assert (facts["outputs"][0]["shape"], facts["outputs"][0]["dtype"]) == ([1, 2], "float32")
    assert facts["labels"] == ["cat", "dog"]
    assert facts["metadata"] == {
        "name": "image classifier",
        "min_parser_version": "1.0.0",
        "colors": "grey",
        "mean": [0.0],
        "std": [1.0],
        "pixel_range": facts["metadata"]["pixel_range"],
        "labels_file": "labels.txt",
    }


def test_sizes_and_operations_add_up(workplace: Workplace) -> None:
    _, facts = inspect("model.tflite")
    size = Path("model.tflite").stat().st_size / 1000
    assert facts["size_kb"] == size == pytest.approx(sum(facts["parts_kb"].values()))
    assert min(facts["parts_kb"].values()) > 0
    model = read(Path("model.tflite").read_bytes())
    tensors = [tensor for tensor in model.subgraphs[0].tensors if is_constant(model, tensor)]
    constants = {bytes(model.buffers[tensor.buffer].data) for tensor in tensors}
    assert facts["parts_kb"]["weights"] == sum(map(len, constants)) / 1000
    assert facts["parts_kb"]["metadata"] == len(metadata_bytes(model)) / 1000
    layers = [row for row in facts["operations"] if row["layer"] is not None]
    assert [row["layer"] for row in layers] == list(facts["bits"])
    assert 0 < sum(row["weights_kb"] for row in layers) <= facts["parts_kb"]["weights"]
    cost = ImageClassifier.load("projects/photos").best_evaluation_.cost
    assert sum(row["macs"] for row in layers) == cost.macs
    assert all(row["input"] and row["output"] for row in facts["operations"])


def test_for_people(workplace: Workplace, tmp_path: Path) -> None:
    code, text = run("inspect", "model.tflite")
    assert code == 0
    (tmp_path / "cut.tflite").write_bytes(Path("model.tflite").read_bytes()[:-10])
    code, of_cut = run("inspect", str(tmp_path / "cut.tflite"))
    assert code == 2 and "CONV_2D" in of_cut and "Nothing is broken." not in of_cut
    assert (
        "Broken: labels. A file must hold its labels, as labels.txt in a zip archive at its end. Received: " in of_cut
    )
    for part in ("Input: 1 8 8 1 uint8, scale 1, zero point 0", "CONV_2D", "2 labels: cat, dog", "Nothing is broken."):
        assert part in text


def without_labels(data: bytes) -> bytes:
    return serialize(read(data))


def with_other_labels(data: bytes) -> bytes:
    return labelled(read(data), ("cat", "dog", "bird"))


def with_one_label_twice(data: bytes) -> bytes:
    return labelled(read(data), ("cat", "cat"))


def without_metadata(data: bytes) -> bytes:
    model = read(data)
    model.metadata = []
    return labelled(model)


def with_foreign_metadata(data: bytes) -> bytes:
    model = read(data)
    model.buffers[model.metadata[0].buffer].data = np.frombuffer(b"something else", np.uint8)
    return labelled(model)


def with_half_the_metadata(data: bytes) -> bytes:
    model = read(data)
    buffer = model.buffers[model.metadata[0].buffer]
    buffer.data = np.frombuffer(bytes(buffer.data)[: len(buffer.data) // 2], np.uint8)
    return labelled(model)


def with_a_missing_tensor(data: bytes) -> bytes:
    model = read(data)
    model.subgraphs[0].operators[-1].inputs = [999]
    return labelled(model)


def that_cannot_run(data: bytes) -> bytes:
    """The last operation, a softmax of one input, becomes the sum of two."""
    model = read(data)
    code = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    return labelled(model)


@pytest.mark.parametrize(
    ("broken", "parts"),
    [
        (lambda data: b"", ["model", "labels"]),
        (lambda data: b"no model at all, but long enough", ["model", "labels"]),
        (lambda data: data[: len(data) // 2], ["model", "labels"]),
        (lambda data: data[:-10], ["labels"]),
        (with_a_missing_tensor, ["model"]),
        (without_labels, ["labels"]),
        (with_other_labels, ["labels"]),
        (with_one_label_twice, ["labels"]),
        (without_metadata, ["metadata"]),
        (with_foreign_metadata, ["metadata"]),
        (with_half_the_metadata, ["metadata"]),
        (that_cannot_run, ["runtime"]),
    ],
)
def test_what_is_broken_is_named(
    broken: Callable[[bytes], bytes], parts: list[str], workplace: Workplace, tmp_path: Path
) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(broken(Path("model.tflite").read_bytes()))
    code, facts = inspect(path)
    assert (code, [problem["part"] for problem in facts["problems"]]) == (2, parts)
    assert all("Received: " in problem["problem"] or "LiteRT" in problem["problem"] for problem in facts["problems"])


def test_every_cut_is_noticed(workplace: Workplace, tmp_path: Path) -> None:
    """No traceback, whatever is missing; the process that runs files is left out, which takes its time."""
    data = Path("model.tflite").read_bytes()
    model = data[: len(data) - archive_size(data)]
    assert parsed(model).subgraphs
    for reading, whole in ((read_labels, data), (parsed, model)):
        for length in np.random.default_rng(0).integers(0, len(whole), 100):
            with pytest.raises(ExportError, match="Received: "):
                reading(whole[:length])


def test_metadata_of_every_kind_are_read_back(workplace: Workplace) -> None:
    info = DatasetInfo((4, 5, 3), "float32", (0.0,) * 3, (1.0,) * 3, (-0.9, 0.9), ("a", "b"), 8, 2)
    metadata = parse_metadata(classifier_metadata(info))
    assert (metadata.colors, metadata.mean, metadata.std) == ("rgb", (127.5,), (127.5,))
    assert metadata.pixel_range == pytest.approx((-0.9, 0.9))
    assert metadata.labels_file == "labels.txt"
    with pytest.raises(ExportError, match=r"must begin with b'M001' at byte 4. Received: b'M002'"):
        parse_metadata(classifier_metadata(info).replace(b"M001", b"M002"))


def test_a_file_that_is_not_there_is_a_refused_argument() -> None:
    code, facts = inspect("nothing.tflite")
    assert (code, list(facts)) == (1, ["error"])
