"""`RuntimeProfile`: which weights a runtime really executes, by operation, width and activations, with the evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from automl_keras.errors import InvalidArgumentError
from automl_keras.export.flatbuffer import WEIGHTED

Outcome = Literal["runs", "refused", "crashes", "wrong"]
Activations = Literal["int8", "int16", "dynamic", "float"]
Row = tuple[str, str, str]

WIDTHS = (2, 3, 4, 8, 16, 32)
ACTIVATIONS: tuple[str, ...] = get_args(Activations)
# Weights on the fast path: XNNPACK takes 4 bits in FULLY_CONNECTED only, 1x1 convolutions written so included.
FAST_WIDTHS = {"FULLY_CONNECTED": (4, 8)}

_NOT_INT8 = "refused: weights of this type must be INT8 or INT4"
_NO_HYBRID = "refused: no kernel for FLOAT32 input and such weights"
_NO_INT2 = "refused: unsupported data type 19 (INT2)"
_NO_INT4 = "refused: INT4 weights are unknown to FULLY_CONNECTED"
_NO_INT4_DEQUANTIZE = "refused: INT4 is unknown to DEQUANTIZE"
_TASKS_REFUSE = "refused: by MediaPipe 0.10.21, while tflite-runtime 2.14.0 runs it"

# Weights of 8, 4 and 2 bits. "runs" and "wrong" with the accuracy of a Fashion-MNIST network of which only this kind of
# operation has such weights; the float file's is 0.880. Ternary weights lose accuracy by themselves: they run if the
# reference kernels give the same. `probe` found all cells so, except on tf.lite and MediaPipe.
_NEWEST: dict[tuple[str, str], Row] = {
    ("CONV_2D", "int8"): ("runs: 0.882", "runs: 0.871", _NOT_INT8),
    ("CONV_2D", "int16"): ("runs: 0.884", "runs: 0.872", _NOT_INT8),
    ("CONV_2D", "dynamic"): ("runs: 0.878", "runs: 0.871", "crashes: SIGSEGV"),
    ("CONV_2D", "float"): ("runs: 0.878", "runs: 0.871", "runs: 0.111, reference kernels 0.113"),
    ("DEPTHWISE_CONV_2D", "int8"): ("runs: 0.882", "runs: 0.869", _NOT_INT8),
    ("DEPTHWISE_CONV_2D", "int16"): ("runs: 0.884", "wrong: 0.106", _NOT_INT8),
    ("DEPTHWISE_CONV_2D", "dynamic"): ("runs: 0.880", _NO_HYBRID, _NO_HYBRID),
    ("DEPTHWISE_CONV_2D", "float"): ("runs: 0.880", "runs: 0.868", "runs: 0.394, reference kernels 0.400"),
    ("FULLY_CONNECTED", "int8"): ("runs: 0.882", "runs: 0.879", "runs: 0.737, reference kernels 0.750"),
    ("FULLY_CONNECTED", "int16"): ("runs: 0.884", "runs: 0.880", "runs: 0.742, reference kernels 0.760"),
    ("FULLY_CONNECTED", "dynamic"): ("runs: 0.881", "runs: 0.881", "runs: 0.731, reference kernels 0.747"),
    ("FULLY_CONNECTED", "float"): ("runs: 0.881", "runs: 0.881", "runs: 0.731, reference kernels 0.747"),
}
_LITERT_1_4 = {key: (eight, four, _NO_INT2) for key, (eight, four, _) in _NEWEST.items()}
# With the largest error of a logit in a file of one operation, and what rounding explains of it: from `probe`.
_LEGACY: dict[tuple[str, str], Row] = {
    ("CONV_2D", "int8"): ("runs: within rounding", _TASKS_REFUSE, _NO_INT2),
    ("CONV_2D", "int16"): ("runs: within rounding", "wrong: 47 instead of 0.014", _NO_INT2),
    ("CONV_2D", "dynamic"): ("runs: within rounding", "wrong: NaN", _NO_INT2),
    ("CONV_2D", "float"): ("runs: within rounding", _NO_INT4_DEQUANTIZE, _NO_INT2),
    ("DEPTHWISE_CONV_2D", "int8"): ("runs: within rounding", _TASKS_REFUSE, _NO_INT2),
    ("DEPTHWISE_CONV_2D", "int16"): ("runs: within rounding", "wrong: 4 instead of 0.0007", _NO_INT2),
    ("DEPTHWISE_CONV_2D", "dynamic"): ("runs: within rounding", _NO_HYBRID, _NO_INT2),
    ("DEPTHWISE_CONV_2D", "float"): ("runs: within rounding", _NO_INT4_DEQUANTIZE, _NO_INT2),
    ("FULLY_CONNECTED", "int8"): ("runs: within rounding", _NO_INT4, _NO_INT2),
    ("FULLY_CONNECTED", "int16"): ("wrong: on images 2.3 instead of 0.0007", _NO_INT4, _NO_INT2),
    ("FULLY_CONNECTED", "dynamic"): ("wrong: 6.1 instead of 0.53", "wrong: on images 2.4 instead of 0.036", _NO_INT2),
    ("FULLY_CONNECTED", "float"): ("runs: within rounding", _NO_INT4_DEQUANTIZE, _NO_INT2),
}
_FLOAT_ROWS = {16: "runs: 0.880, computed in float", 32: "runs: 0.880"}


@dataclass(frozen=True)
class Cell:
    """What became of one operation with weights of one width.

    Attributes:
        outcome: "runs" (right results), "refused" (does not load, or not in these types), "crashes" (ends the
            process) or "wrong" (loads and gives wrong results).
        evidence: What was seen, in a few words.
    """

    outcome: Outcome
    evidence: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.evidence}"


@dataclass(frozen=True)
class RuntimeProfile:
    """What files may hold so that every runtime of a kind executes them correctly.

    Attributes:
        name: Such as "litert>=1.4".
        runtimes: Runtimes on which it was seen.
        cells: `(operation, activations)` to the cells of all widths.
    """

    name: str
    runtimes: tuple[str, ...]
    cells: Mapping[tuple[str, str], Mapping[int, Cell]] = field(repr=False)

    def cell(self, op: str, bits: int, activations: str = "int8") -> Cell:
        """What became of an operation with such weights.

        Args:
            op: "CONV_2D", "DEPTHWISE_CONV_2D" or "FULLY_CONNECTED".
            bits: 2, 3 (stored as INT4), 4, 8, 16 (float16) or 32 (float32). With 16 and 32 the operation computes
                in float, also between int8 operations.
            activations: "int8" or "int16" (static), "dynamic" (float, quantized by the kernel) or "float" (weights
                alone are quantized).

        Raises:
            InvalidArgumentError: If there is no such cell.
        """
        if (op, activations) not in self.cells:
            raise InvalidArgumentError(
                f"`op` must be one of {WEIGHTED} and `activations` one of {ACTIVATIONS}. "
                f"Received: op={op!r}, activations={activations!r}"
            )
        row = self.cells[op, activations]
        if isinstance(bits, bool) or bits not in row:
            raise InvalidArgumentError(f"`bits` of weights must be one of {WIDTHS}. Received: bits={bits!r}")
        return row[bits]

    def allowed(self, op: str, activations: str = "int8") -> tuple[int, ...]:
        """All widths that execute correctly, ascending. Arguments as for `cell`."""
        return tuple(bits for bits in WIDTHS if self.cell(op, bits, activations).outcome == "runs")

    def weight_bits(self, op: str, activations: str = "int8") -> tuple[int, ...]:
        """The widths to choose from by default, ascending: the integers that run on the fast path.

        4 and 8 for FULLY_CONNECTED, 8 for convolutions, as far as they are allowed. Arguments as for `cell`.
        """
        allowed = self.allowed(op, activations)
        return tuple(bits for bits in FAST_WIDTHS.get(op, (8,)) if bits in allowed)

    def check(self, op: str, bits: int, activations: str = "int8") -> None:
        """Refuse what does not execute correctly. Arguments as for `cell`.

        Raises:
            InvalidArgumentError: If it does not; names what does.
        """
        cell = self.cell(op, bits, activations)
        if cell.outcome == "runs":
            return
        others = [other for other in ACTIVATIONS if bits in self.allowed(op, other)]
        profiles = [profile.name for profile in PROFILES.values() if bits in profile.allowed(op, activations)]
        alternatives = [f"bits={allowed}" for allowed in self.allowed(op, activations)]
        alternatives += [f"activations={other!r}" for other in others] + [f"profile={name!r}" for name in profiles]
        raise InvalidArgumentError(
            f"{op} with weights of {bits} bits and {activations} activations does not run on {self.name} ({cell}). "
            f"What does: {', '.join(alternatives)}. Received: bits={bits}"
        )


def get_profile(profile: str | RuntimeProfile) -> RuntimeProfile:
    """A profile by its name; a profile itself is given back.

    Raises:
        InvalidArgumentError: If no profile has this name.
    """
    if isinstance(profile, RuntimeProfile):
        return profile
    if profile not in PROFILES:
        raise InvalidArgumentError(f"`profile` must be one of {tuple(PROFILES)}. Received: profile={profile!r}")
    return PROFILES[profile]


def profile_of_litert(version: str) -> RuntimeProfile:
    """The profile of a version of ai-edge-litert, such as "2.3.0"."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    newest_first = ("litert>=2.1.6", "litert>=1.4")
    least = {name: tuple(map(int, name.removeprefix("litert>=").split("."))) for name in newest_first}
    return PROFILES[next((name for name in newest_first if numbers >= least[name]), "legacy")]


def _cell(text: str) -> Cell:
    outcome, evidence = text.split(": ", 1)
    return Cell(outcome, evidence)  # type: ignore[arg-type]


def _profile(name: str, runtimes: tuple[str, ...], rows: Mapping[tuple[str, str], Row]) -> RuntimeProfile:
    """A profile from texts for 8, 4 and 2 bits; 3 bits are stored as INT4, so they run where 4 do."""
    cells = {}
    for key, (eight, four, two) in rows.items():
        texts = {2: two, 3: four, 4: four, 8: eight, **_FLOAT_ROWS}
        cells[key] = {bits: _cell(text) for bits, text in texts.items()}
    return RuntimeProfile(name, runtimes, cells)


PROFILES: Mapping[str, RuntimeProfile] = {
    profile.name: profile
    for profile in (
        _profile("litert>=2.1.6", ("ai-edge-litert 2.1.6", "ai-edge-litert 2.3.0", "tf.lite 2.21"), _NEWEST),
        _profile("litert>=1.4", ("ai-edge-litert 1.4.0", "ai-edge-litert 2.0.2", "MediaPipe 1.2.2"), _LITERT_1_4),
        _profile("legacy", ("tflite-runtime 2.14.0", "MediaPipe 0.10.21 (int8 activations)"), _LEGACY),
    )
}
