import dataclasses
import io
import zipfile

import flatbuffers
import numpy as np
import pytest
from flatbuffers.table import Table

from automl_keras.export.metadata import append_labels, classifier_metadata, normalization


class Reader:
    """Reads a table by its slots, without the schema."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def _at(self, slot: int) -> int:
        offset = self.table.Offset(4 + 2 * slot)
        assert offset, f"slot {slot} is empty"
        return offset

    def child(self, slot: int) -> "Reader":
        position = self._at(slot) + self.table.Pos
        return Reader(Table(self.table.Bytes, self.table.Indirect(position)))

    def only(self, slot: int) -> "Reader":
        assert self.table.VectorLen(self._at(slot)) == 1
        return Reader(Table(self.table.Bytes, self.table.Indirect(self.table.Vector(self._at(slot)))))

    def text(self, slot: int) -> str:
        return self.table.String(self._at(slot) + self.table.Pos).decode()

    def enum(self, slot: int) -> int:
        return self.table.Get(flatbuffers.number_types.Uint8Flags, self._at(slot) + self.table.Pos)

    def floats(self, slot: int) -> list[float]:
        start, count = self.table.Vector(self._at(slot)), self.table.VectorLen(self._at(slot))
        return [float(x) for x in np.frombuffer(self.table.Bytes, np.float32, count, start)]


def root(data: bytes) -> Reader:
    position = int(np.frombuffer(data, np.uint32, 1)[0])
    return Reader(Table(bytearray(data), position))


def test_every_field_stands_where_readers_look_for_it(tiny_info):
    data = classifier_metadata(dataclasses.replace(tiny_info, input_dtype="float32", pixel_range=(0.0, 1.0)))
    assert data[4:8] == b"M001"
    metadata = root(data)
    assert metadata.text(0) == "image classifier"
    graph = metadata.only(3)
    image, scores = graph.only(2), graph.only(3)
    assert image.text(0) == "image"
    assert image.child(3).enum(0) == 2  # ImageProperties
    assert image.child(3).child(1).enum(0) == 2  # GRAYSCALE
    assert image.only(4).enum(0) == 1  # NormalizationOptions
    assert image.only(4).child(1).floats(0) == [0.0]
    assert image.only(4).child(1).floats(1) == [255.0]
    assert (image.child(5).floats(0), image.child(5).floats(1)) == ([1.0], [0.0])
    assert scores.child(3).enum(0) == 1  # FeatureProperties
    assert scores.only(6).text(0) == "labels.txt"
    assert scores.only(6).enum(2) == 2  # TENSOR_AXIS_LABELS


@pytest.mark.parametrize(
    ("dtype", "pixel_range", "expected"),
    [
        ("uint8", (3.0, 250.0), (0.0, 1.0)),
        ("float32", (0.0, 0.98), (0.0, 255.0)),
        ("float32", (-0.9, 0.9), (127.5, 127.5)),
        ("float32", (2.0, 250.0), (0.0, 1.0)),
        ("float32", (0.0, 16.0), (0.0, 255 / 16)),
        ("float32", (-2.0, 2.25), (120.0, 60.0)),
    ],
)
def test_normalization_maps_an_apps_pixels_to_the_users_units(tiny_info, dtype, pixel_range, expected):
    info = dataclasses.replace(tiny_info, input_dtype=dtype, pixel_range=pixel_range)
    assert normalization(info) == pytest.approx(expected)


def test_labels_stay_one_a_line():
    data = append_labels(b"model", ["plain", "two\nlines", "  spaces  ", "größe"])
    assert data.startswith(b"model")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("labels.txt").decode().split("\n") == ["plain", "two lines", "spaces", "größe"]
