"""Every public name says what it is; what raises an error of ours, or calls what checks its arguments, says so."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from automl_keras import errors
from automl_keras.arguments import check_count
from automl_keras.errors import InvalidArgumentError
from automl_keras.estimators.results import FittedResults
from tests.test_layout import PACKAGES

CHECKS = ("as_", "check", "read")  # how names of what checks arguments begin
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


def helpers(function: Any, owner: Any) -> Iterator[Any]:
    """What a function calls to check or read its arguments, and the private methods of its class that it calls."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id.lstrip("_").startswith(CHECKS):
            yield function.__globals__.get(called.id)
        elif isinstance(called, ast.Attribute) and ast.unparse(called).startswith("self._"):
            yield inspect.getattr_static(owner, called.attr, None)


def said(value: Any) -> set[str]:
    """The errors in the section `Raises` of a docstring."""
    _, _, section = (inspect.getdoc(value) or "").partition("\nRaises:\n")
    return set(re.findall(r"^ +(\w+): ", section, re.MULTILINE)) & ERRORS


def unsaid(name: str, value: Any, owner: Any = None) -> list[str]:
    """The errors that a function, or the construction of a class, raises and its docstring does not name.

    Those of helpers count, one call deep. What every fitted attribute, such as `classes_`, raises before `fit` is
    said once.
    """
    function, doc = body(value), inspect.getdoc(value) or ""
    if function is None:
        return []
    errors = raised(function)
    for helper in helpers(function, owner):
        inner = body(helper) if helper is not None else None
        if inner is not None and inner.__module__.startswith("automl_keras"):
            errors |= raised(inner) | said(helper)
    if name.endswith("_"):
        errors -= {"NotFittedError"}
    return [f"{name}: {error}" for error in sorted(errors) if error not in doc]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package: str) -> None:
    without = [name for name, value in public_objects(package) if not (inspect.getdoc(value) or "").strip()]
    assert without == []


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_are_in_the_docstring(package: str) -> None:
    module, missing = importlib.import_module(package), []
    for name, value in public_objects(package):
        owner = getattr(module, name.removeprefix(f"{package}.").partition(".")[0])
        missing += unsaid(name, value, owner)
    assert missing == []


def test_what_is_missing_is_found() -> None:
    def refuse(value: int) -> None:
        """Refuse every value."""
        raise InvalidArgumentError(f"No value is right. Received: value={value}")

    def report_of(self: FittedResults) -> object:
        """What was measured."""
        return self._fitted().report

    class Undocumented:
        def method(self) -> None:
            pass

    def check_twice(value: int) -> None:
        """Refuse it by another function."""
        check_count("value", value)

    assert unsaid("refuse", refuse) == ["refuse: InvalidArgumentError"]
    assert unsaid("twice", check_twice) == ["twice: InvalidArgumentError", "twice: InvalidTypeError"]
    assert unsaid("ImageClassifier.report_", report_of, FittedResults) == []  # a fitted attribute
    assert unsaid("ImageClassifier.report_of", report_of, FittedResults) == [
        "ImageClassifier.report_of: NotFittedError"
    ]
    assert not inspect.getdoc(Undocumented.method)
