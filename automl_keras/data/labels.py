"""`LabelCodec`: from the user's labels to class codes and back."""

from typing import Any

import numpy as np
import numpy.typing as npt

from automl_keras.data.task import Classification, Label
from automl_keras.errors import InvalidDataError, InvalidTypeError

SHOWN = 10  # unknown labels listed in an error message


class LabelCodec:
    """The mapping between labels and codes 0, 1, ...; `decode` gives labels back as they came.

    Labels are integers, bools, strings, whole-number floats, or one-hot rows (2-D, at least two columns, in each row
    exactly one 1). A column `(n, 1)` counts as `(n,)`.

    Attributes:
        classes_: Distinct labels, sorted as by `numpy.unique`; for one-hot labels the column indices.
        dtype: Type of the labels, or of the one-hot rows.
        one_hot: Whether labels are one-hot rows.
    """

    def __init__(self, classes: npt.ArrayLike, dtype: npt.DTypeLike, one_hot: bool = False) -> None:
        self.dtype = np.dtype(dtype)
        self.one_hot = one_hot
        self.classes_ = np.asarray(classes, dtype=np.int64 if one_hot else self.dtype)

    @classmethod
    def fit(cls, labels: npt.ArrayLike, argument: str = "y") -> "LabelCodec":
        """The codec of the classes found in `labels`.

        Args:
            labels: `(n,)`, `(n, 1)`, or one-hot `(n, classes)`; an array or a list.
            argument: What the caller calls `labels`, for error messages.

        Raises:
            InvalidTypeError: If labels are of a type that cannot name classes.
            InvalidDataError: If labels are missing (None, NaN), of mixed kinds, fractional, empty, of another shape, or
                texts that a file of labels, one a line, could not hold or keep apart.
        """
        values = _checked(labels, argument)
        if values.ndim == 2:
            return cls(np.arange(values.shape[1]), values.dtype, one_hot=True)
        classes = np.unique(values)
        if _kind(classes) == "text":
            _check_names(classes.tolist(), argument)
        return cls(classes, values.dtype)

    def encode(self, labels: npt.ArrayLike, argument: str = "y") -> np.ndarray:
        """Codes of `labels`, int32 of shape `(n,)`.

        Raises:
            InvalidTypeError: As for `fit`.
            InvalidDataError: As for `fit`; also if labels are not of the classes or of the shape of this codec.
        """
        values = _checked(labels, argument)
        if self.one_hot:
            if values.ndim != 2 or values.shape[1] != len(self.classes_):
                raise InvalidDataError(
                    f"`{argument}` must be one-hot with {len(self.classes_)} columns, as the labels trained with. "
                    f"Received: {argument}.shape={values.shape}"
                )
            return values.argmax(axis=1).astype(np.int32)
        if values.ndim == 2:
            raise InvalidDataError(
                f"`{argument}` must not be one-hot, as the labels trained with are not. "
                f"Received: {argument}.shape={values.shape}"
            )
        if _kind(values) != _kind(self.classes_):
            raise self._unknown(np.unique(values), argument)
        codes = np.minimum(np.searchsorted(self.classes_, values), len(self.classes_) - 1)
        known = self.classes_[codes] == values
        if not known.all():
            raise self._unknown(np.unique(values[~known]), argument)
        return codes.astype(np.int32)

    def decode(self, codes: npt.ArrayLike) -> np.ndarray:
        """The labels of integer `codes` `(n,)`: `(n,)`, or one-hot rows `(n, classes)`, of the type `dtype`."""
        indices = np.asarray(codes)
        if not self.one_hot:
            return self.classes_[indices]
        return (indices[:, np.newaxis] == self.classes_).astype(self.dtype)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes, in JSON-compatible values."""
        return tuple(self.to_dict()["classes"])

    @property
    def task(self) -> Classification:
        """What is learnt."""
        return Classification()

    def check_learnable(self, codes: np.ndarray) -> None:
        """Refuse codes of one class.

        Raises:
            InvalidDataError: If there is only one.
        """
        present = np.unique(codes)
        if len(present) < 2:
            raise InvalidDataError(
                f"`y` must have at least two classes. Received: y with only {self.classes_[present].tolist()}"
            )

    def check_divisible(self, codes: np.ndarray) -> None:
        """Refuse codes of which a validation part cannot be split off.

        Raises:
            InvalidDataError: If there is a class with one image.
        """
        single = np.flatnonzero(np.bincount(codes) == 1)
        if len(single):
            raise InvalidDataError(
                "Each class of `y` must have at least two images, one to train and one to validate on, unless "
                f"`validation_data` is given. Received: y with one image of {len(single)} classes, such as "
                f"{self.classes_[single[0]].item()!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        classes = np.asarray(self.classes_.tolist()).tolist()  # twice: an object array may hold NumPy scalars
        return {"classes": classes, "dtype": self.dtype.str, "one_hot": self.one_hot}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "LabelCodec":
        """Rebuild a codec from `to_dict`."""
        return cls(**data)

    def _unknown(self, labels: np.ndarray, argument: str) -> InvalidDataError:
        more = "" if len(labels) <= SHOWN else f" and {len(labels) - SHOWN} more"
        return InvalidDataError(
            f"`{argument}` must only have labels of the {len(self.classes_)} classes trained with, "
            f"{self.classes_[:SHOWN].tolist()}{' ...' if len(self.classes_) > SHOWN else ''}. "
            f"Received: {argument} with the unknown labels {labels[:SHOWN].tolist()}{more}"
        )


def _kind(values: np.ndarray) -> str:
    """Whether values are "text" or "number": labels of one kind can be compared."""
    return "text" if values.dtype.kind == "U" or isinstance(values.flat[0], str) else "number"


def _checked(labels: npt.ArrayLike, argument: str) -> np.ndarray:
    """`(n,)` labels, or `(n, classes)` one-hot rows, of a type and with values that can name classes."""
    values = _as_array(labels, argument)
    if values.size == 0:
        raise InvalidDataError(f"`{argument}` must hold at least one label. Received: {argument}.shape={values.shape}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2):
        raise InvalidDataError(
            f"`{argument}` must have the shape (n,), (n, 1) or, one-hot, (n, classes). "
            f"Received: {argument}.shape={values.shape}"
        )
    if values.ndim == 2:
        _check_one_hot(values, argument)
    elif values.dtype.kind in "fO" and _kind(values) == "number":
        _check_whole(values.astype(np.float64), argument)
    return values


def _check_whole(values: np.ndarray, argument: str) -> None:
    """Refuse NaN, infinity and fractions."""
    if not np.isfinite(values).all():
        raise InvalidDataError(f"`{argument}` must have no missing labels. Received: {argument} with NaN or infinity")
    fractions = values[values != np.trunc(values)]
    if len(fractions):
        raise InvalidDataError(
            f"`{argument}` must hold classes; floats must be whole numbers. "
            f"Received: {argument} with {float(fractions[0])!r}"
        )


def _as_array(labels: npt.ArrayLike, argument: str) -> np.ndarray:
    """An array of bools, integers, floats or strings, or an object array with values of one of these kinds."""
    is_list = isinstance(labels, list | tuple)
    # A list is looked at before numpy unifies its types: it would turn ["a", 1] and ["a", None] into strings.
    values = np.asarray(labels, dtype=object if is_list else None)
    if values.dtype.kind == "O":
        _check_objects(values, argument)
    elif values.dtype.kind not in "buifU":
        raise InvalidTypeError(
            f"`{argument}` must hold integers, floats, bools or strings. "
            f"Received: {argument} of type {type(labels).__name__} with dtype={values.dtype}"
        )
    return np.asarray(labels) if is_list else values


def _check_objects(values: np.ndarray, argument: str) -> None:
    """Refuse missing values, unusual types and mixtures of kinds."""
    kinds = set()
    for value in values.flat:
        if isinstance(value, bool | np.bool_):
            kinds.add("bool")
        elif isinstance(value, str):
            kinds.add("str")
        elif value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
            raise InvalidDataError(f"`{argument}` must have no missing labels. Received: {argument} with {value!r}")
        elif isinstance(value, int | float | np.integer | np.floating):
            kinds.add("number")
        else:
            raise InvalidTypeError(
                f"`{argument}` must hold integers, floats, bools or strings. "
                f"Received: {argument} with {value!r} of type {type(value).__name__}"
            )
    if len(kinds) > 1:
        raise InvalidDataError(f"`{argument}` must hold labels of one kind. Received: {argument} with {sorted(kinds)}")


def _check_names(names: list[str], argument: str) -> None:
    """Refuse texts that differ in white space alone, which is one space in an exported file, or are no Unicode."""
    lines: dict[str, str] = {}
    for name in names:
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise InvalidDataError(
                f"`{argument}` must hold texts of Unicode letters, also where they are names of folders. "
                f"Received: {argument} with {name!r}"
            )
        line = " ".join(name.split())
        if line in lines:
            raise InvalidDataError(
                f"`{argument}` must hold labels that differ in more than white space. "
                f"Received: {argument} with {lines[line]!r} and {name!r}"
            )
        lines[line] = name


def _check_one_hot(values: np.ndarray, argument: str) -> None:
    """Refuse rows other than one 1 among zeros."""
    if values.dtype.kind not in "buif":
        raise InvalidDataError(
            f"`{argument}` must be one-hot numbers if it has two axes. "
            f"Received: {argument}.shape={values.shape}, dtype={values.dtype}"
        )
    wrong = ((values != 0) & (values != 1)).any(axis=1) | ((values == 1).sum(axis=1) != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidDataError(
            f"`{argument}` must have exactly one 1 and else 0 in each row if it has two axes. "
            f"Received: {argument}[{row}]={values[row].tolist()}"
        )
