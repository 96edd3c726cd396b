"""How answers look: JSON for programs, sentences and tables for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_keras.export import TFLiteReport


def to_json(facts: Mapping[str, Any]) -> str:
    """One JSON object. NaN and infinity, for which JSON has no words, become null."""
    return json.dumps(_plain(facts), indent=1, allow_nan=False)


def report_text(report: TFLiteReport) -> str:
    """What was measured on a file, in a line, and a line for each warning."""
    seen = "before it learnt from all images, " if report.refitted else ""
    first = (
        f"{report.path}: accuracy {report.accuracy:.4f} ({seen}on images that no network had seen), "
        f"{report.size_kb:.1f} kB, {report.latency_ms:.3g} ms for one image with {report.runtime}"
    )
    return "\n".join([first, *(f"Warning: {warning}" for warning in report.warnings)])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # of NumPy, which need not be imported to ask
        return _plain(value.tolist())
    return value
