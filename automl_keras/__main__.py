"""`python -m automl_keras`: the command line."""

import sys

from automl_keras.cli import main

if __name__ == "__main__":
    sys.exit(main())
