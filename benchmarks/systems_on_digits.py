"""Every system that trains a supernet in its own way, on digits in a minute, and what it can be specialized to.

python benchmarks/systems_on_digits.py                  all systems, about seven minutes
python benchmarks/systems_on_digits.py fairnas mdenas   some
"""

import argparse
import time

from datasets import digits

from automl_keras import Budget, ImageClassifier
from automl_keras.errors import SearchError
from automl_keras.tuners import SYSTEMS

OWN = [name for name, system in SYSTEMS.items() if system.training != "sandwich"]
SECONDS, KILOBYTES = 60, 65
TARGETS = (15, 25, 40)  # kB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"some of {', '.join(OWN)}")
    systems = parser.parse_args().systems or OWN
    data = digits()
    targets = " / ".join(map(str, TARGETS))
    print(f"| tuner | test accuracy | kB | seconds | networks | specialized, {targets} kB | seconds each |")
    print("|---|---|---|---|---|---|---|")
    for name in systems:
        start = time.monotonic()
        budget = Budget(max_size_kb=KILOBYTES)
        clf = ImageClassifier(tuner=name, time_limit=SECONDS, budget=budget, seed=0, verbose=0)
        clf.fit(data.x_train, data.y_train)
        seconds, start = time.monotonic() - start, time.monotonic()
        try:
            special = [clf.specialize(Budget(max_size_kb=target)) for target in TARGETS]
        except SearchError:  # there was no time for a supernet
            special = []
        each = (time.monotonic() - start) / len(TARGETS)
        scores = " / ".join(f"{one.score(data.x_test, data.y_test):.3f}" for one in special) or "-"
        print(
            f"| {name} | {clf.score(data.x_test, data.y_test):.4f} | {clf.report_.size_kb:.1f} | {seconds:.1f} "
            f"| {len(clf.evaluations_)} | {scores} | {each:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
