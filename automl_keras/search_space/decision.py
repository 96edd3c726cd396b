"""`Decision`: one categorical choice of a search space."""

from dataclasses import dataclass
from typing import Any

from automl_keras.errors import InvalidArgumentError

Option = str | int | float | bool


@dataclass(frozen=True)
class Decision:
    """One categorical choice.

    Attributes:
        name: Unique within a space.
        options: What can be chosen; distinct and all of one type.
        default: What an undecided decision counts as. `options[0]` unless given.
        parent: `(name, values)`: the decision is active only while the decision `name`
            is active and has one of `values`. `None` means always active.

    Raises:
        InvalidArgumentError: If options are empty, repeated or of mixed types, or if the
            default is not among them.
    """

    name: str
    options: tuple[Option, ...]
    default: Option | None = None
    parent: tuple[str, tuple[Option, ...]] | None = None

    def __post_init__(self) -> None:
        options = tuple(self.options)
        object.__setattr__(self, "options", options)
        if not options or len(set(options)) != len(options):
            raise InvalidArgumentError(f"`options` must be non-empty and distinct. Received: options={options}")
        if len({type(option) for option in options}) != 1 or not isinstance(options[0], str | int | float | bool):
            raise InvalidArgumentError(
                f"`options` must all be of one type out of str, int, float and bool. Received: options={options}"
            )
        if self.default is None:
            object.__setattr__(self, "default", options[0])
        elif self.default not in options:
            raise InvalidArgumentError(
                f"`default` must be one of the options {options}. Received: default={self.default!r}"
            )
        if self.parent is not None:
            parent_name, values = self.parent
            object.__setattr__(self, "parent", (parent_name, tuple(values)))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        parent = None if self.parent is None else [self.parent[0], list(self.parent[1])]
        return {"name": self.name, "options": list(self.options), "default": self.default, "parent": parent}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Decision":
        """Rebuild a decision from `to_dict`."""
        parent = data["parent"]
        return cls(
            name=data["name"],
            options=tuple(data["options"]),
            default=data["default"],
            parent=None if parent is None else (parent[0], tuple(parent[1])),
        )
