import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.errors import NotFittedError
from automl_keras.estimators.interrupts import uninterrupted

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]


def fit(**settings: Any) -> ImageClassifier:
    return ImageClassifier(max_trials=3, seed=0, verbose=0, **settings).fit(X, Y, epochs=30)


@pytest.mark.parametrize("moment", ["prepare_data", "small training", "export", "measure"])
def test_before_the_first_model_the_error_says_so(stand_ins: Any, moment: str) -> None:
    stand_ins.interrupts = {(moment, 1)}
    classifier = ImageClassifier(max_trials=3, seed=0, verbose=0)
    with pytest.raises(KeyboardInterrupt, match="before it had its first model"):
        classifier.fit(X, Y, epochs=30)
    with pytest.raises(NotFittedError):
        classifier.predict(X)


@pytest.mark.parametrize(
    ("moments", "files"),
    [
        ([("keep_best", 1)], 1),
        ([("small_sample", 1)], 1),
        ([("search", 1)], 1),
        ([("final training", 1)], 2),
        ([("final training", 1), ("export", 2)], 1),  # a second time, while what was learnt is exported
        ([("final training", 1), ("export", 2), ("save", 1)], 1),
        ([("export", 2)], 2),
        ([("measure", 2)], 2),
        ([("keep_best", 2)], 2),
        ([("refit", 1)], 2),
        ([("export", 3)], 2),
        ([("save", 1)], 3),
        ([("describe", 1), ("save", 2), ("describe", 3)], 3),
    ],
)
def test_afterwards_a_usable_model_is_left(stand_ins: Any, moments: list[tuple[str, int]], files: int) -> None:
    stand_ins.interrupts = set(moments)
    classifier = fit(refit=True)
    assert all(stand_ins.calls[name] >= number for name, number in moments)
    assert classifier.predict(X[:5]).shape == (5,)
    assert [row["source"] for row in classifier.leaderboard()] == ["file"] * files
    assert classifier.tflite_path_.name == f"network_{files - 1}.tflite"
    assert classifier.tflite_path_.read_bytes() == b"file"
    assert ImageClassifier.load(classifier.tflite_path_.parent).report_ == classifier.report_


def test_a_fit_that_is_interrupted_too_early_leaves_the_fit_before(stand_ins: Any) -> None:
    classifier = fit()
    report = classifier.report_
    stand_ins.interrupts = {("prepare_data", 2)}
    with pytest.raises(KeyboardInterrupt, match="before it had its first model"):
        classifier.fit(X, Y, epochs=30)
    assert classifier.report_ == report and classifier.tflite_path_.exists()


def test_short_work_is_begun_anew() -> None:
    done: list[int] = []

    def work() -> None:
        done.append(len(done))
        if len(done) < 3:
            raise KeyboardInterrupt

    uninterrupted(work)
    assert done == [0, 1, 2]


SCRIPT = """
from pathlib import Path
from sklearn.datasets import load_digits
from automl_keras import Budget, ImageClassifier
digits = load_digits()
clf = ImageClassifier(budget=Budget(max_size_kb=60), seed=0, verbose=1, {constructor})
print("begin", flush=True)
try:
    clf.fit(digits.images, digits.target{fit})
except KeyboardInterrupt as error:
    assert "before it had its first model" in str(error), error
    print("too early")
else:
    assert clf.predict(digits.images).shape == digits.target.shape
    size = clf.export_tflite(Path({path!r})).size_kb
    assert size == Path({path!r}).stat().st_size / 1000 <= 60
    print("usable")
"""
BY_CLOCK = {"constructor": "time_limit=40", "fit": ""}
BY_COUNT = {"constructor": "max_trials=6", "fit": ", epochs=4"}
SHORT, MIDDLE, LONG = np.random.default_rng(0).uniform([[0.0], [0.5], [3.0]], [[1.5], [3.0], [30.0]], (3, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "line", "delay"),
    [
        *[(BY_CLOCK, "begin", delay) for delay in LONG],
        (BY_COUNT, "begin", SHORT[0]),
        (BY_COUNT, "export and measure", SHORT[1]),
        (BY_COUNT, "build the supernet", MIDDLE[0]),  # traces it
        (BY_COUNT, "search", SHORT[2]),
        (BY_COUNT, "train the final network", MIDDLE[1]),
        (BY_COUNT, "Trained for", SHORT[3]),  # exports the final network
    ],
)
def test_ctrl_c_at_random_moments(tmp_path: Any, settings: dict[str, str], line: str, delay: float) -> None:
    script = SCRIPT.format(**settings, path=str(tmp_path / "model.tflite"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said: list[str] = []
    for text in process.stdout:
        said.append(text)
        if line in text:
            break
    time.sleep(delay)
    if process.poll() is None:
        process.send_signal(2)
    said.append(process.communicate(timeout=300)[0])
    output = "".join(said)
    assert process.returncode == 0, output
    outcome = output.splitlines()[-1]
    assert outcome == "usable" or (outcome == "too early" and "Best file" not in output), output
