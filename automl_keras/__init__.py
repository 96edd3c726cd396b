"""Image classifiers for phones: finds an architecture that fits the device and exports it as a measured `.tflite` file.

Public names are imported when they are first used. Keras has to run on TensorFlow; any other backend is refused here
with a `BackendError`, before Keras is imported.
"""

import importlib
from typing import TYPE_CHECKING, Any

from automl_keras import _startup
from automl_keras.errors import AutoMLError

if TYPE_CHECKING:
    from automl_keras.estimators import Backbone, ImageClassifier, ImageRegressor
    from automl_keras.evaluation import Budget, Cost, Evaluation
    from automl_keras.export import TFLiteReport
    from automl_keras.search_space import Architecture, Decision, SearchSpace
    from automl_keras.tuners import Project

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "AutoMLError",
    "Backbone",
    "Budget",
    "Cost",
    "Decision",
    "Evaluation",
    "ImageClassifier",
    "ImageRegressor",
    "Project",
    "SearchSpace",
    "TFLiteReport",
    "__version__",
]

_MODULES = {
    "Architecture": "automl_keras.search_space",
    "Backbone": "automl_keras.estimators",
    "Budget": "automl_keras.evaluation",
    "Cost": "automl_keras.evaluation",
    "Decision": "automl_keras.search_space",
    "Evaluation": "automl_keras.evaluation",
    "ImageClassifier": "automl_keras.estimators",
    "ImageRegressor": "automl_keras.estimators",
    "Project": "automl_keras.tuners",
    "SearchSpace": "automl_keras.search_space",
    "TFLiteReport": "automl_keras.export",
}

_startup.check_backend()
_startup.quieten_tensorflow()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _startup.check_backend()  # the setting may have changed since this package was imported
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
