"""`fit_code`: the Python code that repeats a fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def fit_code(estimator: str, arguments: Mapping[str, Any], fit_arguments: Mapping[str, Any]) -> str:
    """The code that makes and fits an estimator; `x` and `y` stand for the images and labels.

    What has no code, such as a Keras model, stands as a variable with the name of its argument.

    Args:
        estimator: Name of its class.
        arguments: Of the constructor.
        fit_arguments: Of `fit`, besides images and labels.
    """
    from automl_keras.evaluation import Budget
    from automl_keras.search_space import NetworkSpace

    names, spaces = [estimator], False
    lines = []
    for name, value in arguments.items():
        if isinstance(value, Budget):
            names.append("Budget")
            written = f"Budget({_written(value.limits())})"
        elif isinstance(value, NetworkSpace):
            spaces = True
            written = f"network_space_from_dict({value.to_dict()!r})"
        else:
            plain = value is None or isinstance(value, str | int | float | PurePath)
            written = repr(str(value) if isinstance(value, PurePath) else value) if plain else name
        lines.append(f"    {name}={written},\n")
    imports = [f"from automl_keras import {', '.join(sorted(names))}"]
    if spaces:
        imports.append("from automl_keras.search_space import network_space_from_dict")
    called = f"{estimator}(\n{''.join(lines)})" if lines else f"{estimator}()"
    rest = ", ".join(filter(None, ("x, y", _written(fit_arguments))))
    return "\n".join([*imports, "", f"clf = {called}", f"clf.fit({rest})"])


def _written(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
