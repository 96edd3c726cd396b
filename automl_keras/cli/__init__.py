"""The command line `automl-keras`."""

from automl_keras.cli.program import main

__all__ = ["main"]
