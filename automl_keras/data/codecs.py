"""`TargetCodec`: what stands between the user's `y` and the targets of a network, one for each kind of task."""

from __future__ import annotations

from typing import Any

from automl_keras.data.labels import LabelCodec
from automl_keras.data.multi_label import MultiLabel, MultiLabelCodec
from automl_keras.data.regression import Regression, ValueCodec

TargetCodec = LabelCodec | MultiLabelCodec | ValueCodec


def codec_from_dict(data: dict[str, Any]) -> TargetCodec:
    """Rebuild a codec from its `to_dict`, also after a trip through JSON; one without a "kind" is of labels."""
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind == MultiLabel.kind:
        return MultiLabelCodec(**fields)
    if kind == Regression.kind:
        return ValueCodec(tuple(fields["mean"]), tuple(fields["std"]), fields["is_flat"])
    return LabelCodec.from_dict(fields)
