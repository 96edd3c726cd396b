import sys
from pathlib import Path

# The scripts import one another by their bare names, as they do when they are run.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
