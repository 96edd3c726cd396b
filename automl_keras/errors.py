"""Every error this package raises on purpose.

Each class is an `AutoMLError` and also the builtin a caller would expect, so both
`except AutoMLError` and `except ValueError` do what they say.
"""


class AutoMLError(Exception):
    """Root of all errors raised by `automl_keras`."""


class InvalidArgumentError(AutoMLError, ValueError):
    """An argument has a value that is not allowed."""


class InvalidTypeError(AutoMLError, TypeError):
    """An argument has a type that is not allowed."""


class InvalidDataError(AutoMLError, ValueError):
    """Images or labels cannot be used as they are."""


class InvalidArchitectureError(AutoMLError, ValueError):
    """An architecture does not belong to the search space it is used with."""


class InfeasibleBudgetError(AutoMLError, ValueError):
    """No architecture of the search space fits the budget."""


class NotFittedError(AutoMLError, ValueError, AttributeError):
    """A fitted model was asked for before `fit`."""


class BackendError(AutoMLError, RuntimeError):
    """Keras runs on a backend other than TensorFlow."""


class SearchError(AutoMLError, RuntimeError):
    """The search ended without a usable model."""


class ExportError(AutoMLError, RuntimeError):
    """A model could not be turned into a working `.tflite` file."""


class ProjectError(AutoMLError, RuntimeError):
    """A project directory belongs to another search, or is no project."""


class MissingDependencyError(AutoMLError, ImportError):
    """A feature needs a package that is not installed."""
