"""TFLite metadata of an image network: how to feed the file, and the labels of its outputs.

Written field by field after `metadata_schema.fbs` of the TensorFlow Lite metadata library, so
that MediaPipe Tasks and Android Studio know the file without any further package.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np

from automl_keras.data import Classification, DatasetInfo, MultiLabel, Regression

METADATA_NAME = b"TFLITE_METADATA"
# What files of each kind of task are called inside.
MODEL_NAMES = {
    Classification.kind: "image classifier",
    MultiLabel.kind: "multi-label image classifier",
    Regression.kind: "image regressor",
}
LABELS_FILE = "labels.txt"
SCHEMA_IDENTIFIER = b"M001"
MIN_PARSER_VERSION = "1.0.0"

IMAGE_CONTENT, FEATURE_CONTENT = 2, 1  # ContentProperties
NORMALIZATION = 1  # ProcessUnitOptions
AXIS_LABELS = 2  # AssociatedFileType
COLOR_SPACES = {3: 1, 1: 2}  # channels to ColorSpaceType: RGB, GRAYSCALE; anything else is unknown
NOMINAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


def add_metadata(model: Any, info: DatasetInfo) -> None:
    """Store the metadata in a `ModelT` of the schema, as its last buffer."""
    from ai_edge_litert import schema_py_generated as schema

    content = np.frombuffer(classifier_metadata(info), np.uint8)
    model.buffers.append(schema.BufferT(data=content))
    model.metadata = [schema.MetadataT(name=METADATA_NAME, buffer=len(model.buffers) - 1)]


def append_labels(data: bytes, labels: Sequence[str]) -> bytes:
    """A file with `labels.txt` appended as a zip archive, one label a line.

    `zipfile.ZipFile(path).read("labels.txt")` reads it back; LiteRT ignores it.
    """
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        member = zipfile.ZipInfo(LABELS_FILE)  # with a fixed date: the same model gives the same bytes
        member.external_attr = 0o644 << 16  # readable once unzipped
        archive.writestr(member, "\n".join(" ".join(label.split()) for label in labels))
    return stream.getvalue()


def with_labels(data: bytes, info: DatasetInfo) -> bytes:
    """A file with its labels appended; one of values as it is."""
    return append_labels(data, [str(label) for label in info.classes]) if info.classes else data


def normalization(info: DatasetInfo) -> tuple[float, float]:
    """`(mean, std)` by which an app turns its 0 to 255 pixels p into the file's: `(p - mean) / std`.

    A uint8 file takes them as they are. A float32 file takes the user's units: the range 0 to 1,
    -1 to 1 or 0 to 255 if the training pixels fill at least half of it, else exactly their range.
    """
    if info.input_dtype == "uint8":
        return 0.0, 1.0
    low, high = info.pixel_range
    for bottom, top in NOMINAL_RANGES:
        if bottom <= low and high <= top and high - low >= (top - bottom) / 2:
            low, high = bottom, top
            break
    std = 255.0 / max(high - low, 1e-6)
    return 0.0 - low * std, std


def classifier_metadata(info: DatasetInfo) -> bytes:
    """The `ModelMetadata` table: image input with normalization, one score for each label, or values without labels."""
    builder = flatbuffers.Builder(512)
    mean, std = normalization(info)
    options = _table(builder, 2, {0: _floats(builder, mean), 1: _floats(builder, std)})
    unit = _table(builder, 2, {1: options}, enums={0: NORMALIZATION})
    image = _table(builder, 2, {}, enums={0: COLOR_SPACES.get(info.image_shape[2], 0)})
    low, high = info.pixel_range
    inputs = _tensor(
        builder,
        name="image",
        content=_table(builder, 3, {1: image}, enums={0: IMAGE_CONTENT}),
        fields={4: _offsets(builder, unit), 5: _stats(builder, low, high)},
    )
    is_labelled, labels, fields = not isinstance(info.task, Regression), 0, {}
    if is_labelled:
        labels = _table(builder, 5, {0: builder.CreateString(LABELS_FILE)}, enums={2: AXIS_LABELS})
    content = _table(builder, 3, {1: _table(builder, 1, {})}, enums={0: FEATURE_CONTENT})
    if is_labelled:
        fields = {5: _stats(builder, 0.0, 1.0), 6: _offsets(builder, labels)}
    outputs = _tensor(builder, name="probability" if is_labelled else "value", content=content, fields=fields)
    graph = _table(builder, 8, {2: _offsets(builder, inputs), 3: _offsets(builder, outputs)})
    name = builder.CreateString(MODEL_NAMES[info.task.kind])
    version = builder.CreateString(MIN_PARSER_VERSION)
    builder.Finish(_table(builder, 8, {0: name, 3: _offsets(builder, graph), 7: version}), SCHEMA_IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder: flatbuffers.Builder, *, name: str, content: int, fields: dict[int, int]) -> int:
    return _table(builder, 7, {0: builder.CreateString(name), 3: content, **fields})


def _stats(builder: flatbuffers.Builder, low: float, high: float) -> int:
    return _table(builder, 2, {0: _floats(builder, high), 1: _floats(builder, low)})


def _table(
    builder: flatbuffers.Builder, slots: int, fields: dict[int, int], enums: dict[int, int] | None = None
) -> int:
    """A table of `slots` slots, with offsets in `fields` and one-byte enums in `enums`."""
    builder.StartObject(slots)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (enums or {}).items():
        builder.PrependInt8Slot(slot, value, 0)
    return builder.EndObject()


def _offsets(builder: flatbuffers.Builder, offset: int) -> int:
    """A vector of one table."""
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, value: float) -> int:
    """A vector of one float."""
    return builder.CreateNumpyVector(np.array([value], np.float32))
