import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.validation import check_is_fitted

from automl_keras import Budget, ImageClassifier

DIGITS = load_digits()
X, Y = DIGITS.images[:200], DIGITS.target[:200]


def test_a_clone_has_all_parameters_and_nothing_learnt(stand_ins: Any) -> None:
    parameters = {"budget": Budget(max_size_kb=50), "max_trials": 1, "tuner": "random", "refit": True, "seed": 3}
    classifier = ImageClassifier(verbose=0, **parameters).fit(X, Y, epochs=1)
    copied = clone(classifier)
    assert copied.get_params() == classifier.get_params()
    assert {name: copied.get_params()[name] for name in parameters} == parameters
    check_is_fitted(classifier)
    with pytest.raises(NotFittedError):
        check_is_fitted(copied)
    assert not [name for name in vars(copied) if name not in copied.get_params()]
    assert is_classifier(copied)
    assert copied.set_params(seed=4).seed == 4


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_model_selection(quick: bool, request: pytest.FixtureRequest) -> None:
    if quick:
        request.getfixturevalue("stand_ins")
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=0)
    scores = cross_val_score(classifier, X, Y, cv=2, params={"epochs": 1})
    assert scores.shape == (2,) and np.isfinite(scores).all()
    search = GridSearchCV(classifier, {"tuner": ["random", "evolution"]}, cv=2, error_score="raise").fit(X, Y, epochs=1)
    assert search.best_params_["tuner"] in ("random", "evolution")
    assert set(search.predict(X)) <= set(range(10))


MEMORY_SCRIPT = """
from sklearn.datasets import load_digits
from automl_keras import ImageClassifier
import gc
digits = load_digits()
def rss():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmRSS"))
for number in range(1, 11):
    clf = ImageClassifier(max_trials=2, seed=number, verbose=0).fit(digits.images, digits.target, epochs=1)
    print(number, rss(), flush=True)
"""


@pytest.mark.slow
def test_ten_fits_leave_little_behind() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY_SCRIPT], capture_output=True, text=True, check=True)
    megabytes = {int(number): float(size) for number, size in map(str.split, done.stdout.splitlines())}
    assert megabytes[10] - megabytes[2] < 200, megabytes
