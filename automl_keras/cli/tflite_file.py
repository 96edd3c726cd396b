"""What a `.tflite` file of an image classifier says about itself: its metadata and its labels.

Fields are found by their numbers in `metadata_schema.fbs` of the TensorFlow Lite metadata library.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from automl_keras.errors import ExportError, InvalidArgumentError
from automl_keras.export.metadata import (
    AXIS_LABELS,
    COLOR_SPACES,
    IMAGE_CONTENT,
    LABELS_FILE,
    METADATA_NAME,
    NORMALIZATION,
    SCHEMA_IDENTIFIER,
)

COLORS = {COLOR_SPACES[3]: "rgb", COLOR_SPACES[1]: "grey"}


@dataclass(frozen=True)
class FileMetadata:
    """How to feed a file, and where its labels are.

    Attributes:
        name: What the file is called inside.
        min_parser_version: The oldest metadata library that understands all of it.
        colors: "rgb", "grey", or `None` if it does not say.
        mean: With `std`, for each channel or for all: pixels p from 0 to 255 become `(p - mean) / std`.
        std: See `mean`; both are empty if it does not say.
        pixel_range: Smallest and largest value that the file expects, or `None`.
        labels_file: Name of the file of labels, or `None`.
    """

    name: str | None
    min_parser_version: str | None
    colors: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixel_range: tuple[float, float] | None
    labels_file: str | None


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file.

    Raises:
        InvalidArgumentError: If there is no such file.
    """
    if not Path(path).is_file():
        raise InvalidArgumentError(f"The model must be a .tflite file. Received: {str(path)!r}, which is no file")
    return Path(path).read_bytes()


def metadata_bytes(model: Any) -> bytes:
    """The metadata of a `ModelT` as they are stored.

    Raises:
        ExportError: If there are none.
    """
    for entry in model.metadata or []:
        if entry.name == METADATA_NAME:
            content = model.buffers[entry.buffer].data
            return b"" if content is None else bytes(content)
    raise ExportError(f"A file must have metadata for apps, under {METADATA_NAME.decode()}. Received: none")


def parse_metadata(data: bytes) -> FileMetadata:
    """Read stored metadata.

    Raises:
        ExportError: If they are of another schema, or broken.
    """
    if data[4:8] != SCHEMA_IDENTIFIER:
        raise ExportError(f"Metadata must begin with {SCHEMA_IDENTIFIER!r} at byte 4. Received: {data[4:8]!r}")
    try:
        return _parsed(data)
    except Exception as error:  # whatever the reader of flatbuffers runs into
        raise ExportError(f"Metadata must be readable. Received: {type(error).__name__}: {error}") from error


def read_labels(data: bytes, name: str | None = None) -> tuple[str, ...]:
    """The labels that are appended to a file as a zip archive, in the order of its outputs.

    Args:
        data: The file.
        name: Of the file of labels, as the metadata say it; the usual one if they do not.

    Raises:
        ExportError: If there is no archive, or no such file in it, or it is no text.
    """
    name = name or LABELS_FILE
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return tuple(archive.read(name).decode().split("\n"))
    except Exception as error:  # whatever the reader of archives runs into
        raise ExportError(
            f"A file must hold its labels, as {name} in a zip archive at its end. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def archive_size(data: bytes) -> int:
    """Bytes at the end of a file that are a zip archive, one that `read_labels` can read."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return len(data) - min(member.header_offset for member in archive.infolist())


def check_labels(labels: Sequence[str], num_outputs: int) -> None:
    """Refuse labels that do not name the outputs of a file one by one.

    Raises:
        ExportError: If there is another number of them, or two are the same.
    """
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if len(labels) != num_outputs or twice:
        raise ExportError(
            f"A file must have one label for each of its {num_outputs} outputs, all different. "
            f"Received: {len(labels)} labels{f', twice: {twice}' if twice else ''}"
        )


class _Record:
    """A table of a flatbuffer, whose fields have numbers."""

    def __init__(self, data: bytes, position: int) -> None:
        self._table = Table(data, position)

    def text(self, field: int) -> str | None:
        at = self._at(field)
        return None if at is None else self._table.String(at).decode()

    def number(self, field: int) -> int:
        at = self._at(field)
        return 0 if at is None else int(self._table.Get(number_types.Uint8Flags, at))

    def floats(self, field: int) -> tuple[float, ...]:
        offset = self._table.Offset(4 + 2 * field)
        if offset == 0:
            return ()
        values = self._table.GetVectorAsNumpy(number_types.Float32Flags, offset)
        return tuple(float(value) for value in values)

    def record(self, field: int) -> _Record | None:
        at = self._at(field)
        return None if at is None else _Record(self._table.Bytes, self._table.Indirect(at))

    def records(self, field: int) -> list[_Record]:
        offset = self._table.Offset(4 + 2 * field)
        if offset == 0:
            return []
        start = self._table.Vector(offset)
        places = range(start, start + 4 * self._table.VectorLen(offset), 4)
        return [_Record(self._table.Bytes, self._table.Indirect(place)) for place in places]

    def _at(self, field: int) -> int | None:
        offset = self._table.Offset(4 + 2 * field)
        return None if offset == 0 else self._table.Pos + offset


def _parsed(data: bytes) -> FileMetadata:
    root = _Record(data, int(np.frombuffer(data, np.uint32, 1)[0]))
    (graph,) = root.records(3)
    (image,), (scores,) = graph.records(2), graph.records(3)
    content = image.record(3)
    properties = content.record(1) if content is not None and content.number(0) == IMAGE_CONTENT else None
    units = [unit.record(1) for unit in image.records(4) if unit.number(0) == NORMALIZATION]
    normalization = units[0] if units else None
    stats = image.record(5)
    low, high = ((), ()) if stats is None else (stats.floats(1), stats.floats(0))
    return FileMetadata(
        name=root.text(0),
        min_parser_version=root.text(7),
        colors=None if properties is None else COLORS.get(properties.number(0)),
        mean=() if normalization is None else normalization.floats(0),
        std=() if normalization is None else normalization.floats(1),
        pixel_range=(min(low), max(high)) if low and high else None,
        labels_file=next((file.text(0) for file in scores.records(6) if file.number(2) == AXIS_LABELS), None),
    )
