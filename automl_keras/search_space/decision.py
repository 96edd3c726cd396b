"""`Decision`: one categorical choice of a search space."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from automl_keras.errors import InvalidArgumentError

Option = str | int | float | bool


@dataclass(frozen=True)
class Decision:
    """One categorical choice.

    ```python
    dropout = Decision("dropout", (False, True))
    rate = Decision("rate", (0.1, 0.3), default=0.3, parent=("dropout", (True,)))
    assert (dropout.default, rate.default) == (False, 0.3)
    ```

    Attributes:
        name: Unique within a space.
        options: What can be chosen; distinct and all of one type.
        default: What an undecided decision counts as. `options[0]` unless given.
        parent: `(name, values)`: the decision is active only while the decision `name`
            is active and has one of `values`. `None` means always active.
        anchors: Where the options stand for inputs, such as the layers before: for each the last
            decision about that layer, or `None` for the network's own input. Of a yes/no decision
            about one input, such as a skip connection, a single one. Strategies that relate
            layers to each other read it (`Controller`).

    Raises:
        InvalidArgumentError: If options are empty, repeated or of mixed types, if the
            default is not among them, or if the number of anchors does not fit.
    """

    name: str
    options: tuple[Option, ...]
    default: Option | None = None
    parent: tuple[str, tuple[Option, ...]] | None = None
    anchors: tuple[str | None, ...] | None = None

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
        if self.anchors is not None:
            object.__setattr__(self, "anchors", tuple(self.anchors))
            if len(self.anchors) != (1 if isinstance(options[0], bool) else len(options)):
                raise InvalidArgumentError(
                    "`anchors` must be one for each option, or a single one for a yes/no decision. "
                    f"Received: anchors={self.anchors}, options={options}"
                )

    def anchors_left(self, options: Sequence[Option], names: Container[str]) -> tuple[str | None, ...] | None:
        """The anchors if only `options` are left, and of the other decisions only `names`: the rest become `None`."""
        if self.anchors is None:
            return None
        is_yes_no = isinstance(self.options[0], bool)
        kept = self.anchors if is_yes_no else [self.anchors[self.options.index(option)] for option in options]
        return tuple(anchor if anchor in names else None for anchor in kept)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        parent = None if self.parent is None else [self.parent[0], list(self.parent[1])]
        data = {"name": self.name, "options": list(self.options), "default": self.default, "parent": parent}
        # Left out where there are none, as in files from before there were any.
        return data if self.anchors is None else {**data, "anchors": list(self.anchors)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Decision":
        """Rebuild a decision from `to_dict`."""
        parent, anchors = data["parent"], data.get("anchors")
        return cls(
            name=data["name"],
            options=tuple(data["options"]),
            default=data["default"],
            parent=None if parent is None else (parent[0], tuple(parent[1])),
            anchors=None if anchors is None else tuple(anchors),
        )
