"""Every public name says what it is; what raises an error of ours says so."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from automl_keras import errors
from automl_keras.errors import InvalidArgumentError
from tests.test_layout import PACKAGES

ERRORS = {name for name, value in vars(errors).items() if inspect.isclass(value)}


def public_objects(package: str) -> Iterator[tuple[str, Any]]:
    """The classes and functions of `__all__`, and the public methods and properties that the classes define."""
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if not inspect.isroutine(value) and not inspect.isclass(value):
            continue
        yield f"{package}.{name}", value
        if inspect.isclass(value) and value.__module__.startswith("automl_keras"):
            for owner in value.__mro__:
                if owner.__module__.startswith("automl_keras"):
                    for key, member in vars(owner).items():
                        if not key.startswith("_") and is_documented(member):
                            yield f"{package}.{name}.{key}", member


def is_documented(member: Any) -> bool:
    """Whether a member of a class is a method or property, which have to have a docstring."""
    return inspect.isroutine(member) or isinstance(member, property | classmethod | staticmethod)


def raised(function: Any) -> set[str]:
    """The errors of this package that the body of a function raises, by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    }
    return found & ERRORS


def body(value: Any) -> Any:
    """The function behind a public object; `None` if it has none, or one that was generated."""
    if inspect.isclass(value):
        found = vars(value).get("__post_init__", vars(value).get("__init__"))
    else:
        found = getattr(value, "__func__", getattr(value, "fget", value))
    found = inspect.unwrap(found) if found is not None else None
    return found if inspect.isfunction(found) and found.__code__.co_filename.endswith(".py") else None


def unsaid(name: str, value: Any) -> list[str]:
    """The errors that a function, or the construction of a class, raises and its docstring does not name."""
    function, doc = body(value), inspect.getdoc(value) or ""
    return [f"{name}: {error}" for error in sorted(raised(function) if function else ()) if error not in doc]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package: str) -> None:
    without = [name for name, value in public_objects(package) if not (inspect.getdoc(value) or "").strip()]
    assert without == []


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_are_in_the_docstring(package: str) -> None:
    assert [line for name, value in public_objects(package) for line in unsaid(name, value)] == []


def test_what_is_missing_is_found() -> None:
    def refuse(value: int) -> None:
        """Refuse every value."""
        raise InvalidArgumentError(f"No value is right. Received: value={value}")

    class Undocumented:
        def method(self) -> None:
            pass

    assert unsaid("refuse", refuse) == ["refuse: InvalidArgumentError"]
    assert not inspect.getdoc(Undocumented.method)
