"""`Architecture`: the outcome of all active decisions of a search space."""

from collections.abc import Iterator, Mapping
from typing import Any

from automl_keras.search_space.decision import Option


class Architecture(Mapping[str, Option]):
    """An immutable, hashable mapping from decision name to the chosen option.

    Two architectures are equal when they chose the same; the order of the decisions does
    not count. `SearchSpace` makes the canonical form, in which inactive decisions are absent.

    ```python
    architecture = Architecture({"kernel": 3, "width": 16})
    assert architecture["width"] == 16
    assert architecture in {Architecture({"width": 16, "kernel": 3})}
    ```
    """

    __slots__ = ("_hash", "_values")

    def __init__(self, values: Mapping[str, Option]) -> None:
        self._values: dict[str, Option] = dict(values)
        self._hash = hash(frozenset(self._values.items()))

    def __getitem__(self, name: str) -> Option:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Architecture):
            return self._values == other._values
        return NotImplemented

    def __repr__(self) -> str:
        return f"Architecture({self._values!r})"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return dict(self._values)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Architecture":
        """Rebuild an architecture from `to_dict`."""
        return cls(data)
