"""`Cost`, what a network needs of a device, and `Budget`, what the device has."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from automl_keras.errors import InvalidArgumentError, InvalidTypeError

WHOLE = ("params", "macs", "bit_ops")


@dataclass(frozen=True)
class Cost:
    """What one network needs. `None` means not known (yet).

    Attributes:
        params: Number of weights, BatchNorm statistics folded away.
        macs: Multiply-accumulate operations for one image.
        size_kb: Size of the `.tflite` file in kB (1 kB = 1,000 bytes).
        ram_kb: Peak activation memory in kB.
        latency_ms: Time for one image in milliseconds.
        bit_ops: MACs times weight bits times activation bits.
    """

    params: int | None = None
    macs: int | None = None
    size_kb: float | None = None
    ram_kb: float | None = None
    latency_ms: float | None = None
    bit_ops: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Cost":
        """Rebuild a cost from `to_dict`."""
        return cls(**data)

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, float]) -> "Cost":
        """The cost among metrics: the finite ones that are named like a field."""
        known = {name: metrics[name] for name in cls.names() if math.isfinite(metrics.get(name, math.nan))}
        return cls(**{name: int(value) if name in WHOLE else value for name, value in known.items()})  # type: ignore[arg-type]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all costs."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True)
class Budget:
    """Upper limits of the device, each compared with the `Cost` of the same name.

    ```python
    budget = Budget(max_size_kb=150, max_latency_ms=2.0)
    assert budget.allows(Cost(size_kb=120.0))  # what is not known is not judged
    assert budget.violations(Cost(size_kb=160.0)) == ["size_kb 160 exceeds max_size_kb=150"]
    ```

    Attributes:
        max_params: Limit for `Cost.params`.
        max_macs: Limit for `Cost.macs`.
        max_size_kb: Limit for `Cost.size_kb`, in kB of 1,000 bytes.
        max_ram_kb: Limit for `Cost.ram_kb`.
        max_latency_ms: Limit for `Cost.latency_ms`.
        max_bit_ops: Limit for `Cost.bit_ops`.

    Raises:
        InvalidTypeError: If a limit is not a number.
        InvalidArgumentError: If a limit is not positive and finite.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_size_kb: float | None = None
    max_ram_kb: float | None = None
    max_latency_ms: float | None = None
    max_bit_ops: int | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits().items():
            if isinstance(limit, bool) or not isinstance(limit, int | float):
                raise InvalidTypeError(f"`{name}` must be a number or None. Received: {name}={limit!r}")
            if not math.isfinite(limit) or limit <= 0:
                raise InvalidArgumentError(f"`{name}` must be positive and finite. Received: {name}={limit!r}")

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def violations(self, cost: Cost) -> list[str]:
        """One sentence for each limit that a known cost exceeds."""
        found = []
        for name, limit in self.limits().items():
            value = getattr(cost, name.removeprefix("max_"))
            if value is not None and value > limit:
                found.append(f"{name.removeprefix('max_')} {value:g} exceeds {name}={limit:g}")
        return found

    def allows(self, cost: Cost) -> bool:
        """Whether no known cost exceeds its limit. Unknown costs (`None`) are not judged."""
        return not self.violations(cost)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Budget":
        """Rebuild a budget from `to_dict`."""
        return cls(**data)
