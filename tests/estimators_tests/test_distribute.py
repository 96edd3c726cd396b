from typing import Any

import pytest
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.errors import InvalidArgumentError
from automl_keras.estimators import searching

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]


@pytest.mark.parametrize(
    ("distribute", "address", "on_ray"),
    [(None, None, False), ("ray", None, True), (None, "127.0.0.1:1", True)],
)
def test_where_networks_are_evaluated(
    monkeypatch: pytest.MonkeyPatch, distribute: Any, address: str | None, on_ray: bool
) -> None:
    class Begun(BaseException):
        pass

    def begin(here: bool) -> Any:
        def search(*args: Any, **settings: Any) -> None:
            begun.append(here)
            raise Begun

        return search

    begun: list[bool] = []
    monkeypatch.setattr(searching, "search_on_ray", begin(True))
    monkeypatch.setattr(searching.SupernetTuner, "search", begin(False))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(Begun):
        ImageClassifier(max_trials=2, seed=0, verbose=0, distribute=distribute).fit(X, Y, epochs=1)
    assert begun == [on_ray]


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="Received: distribute='spark'"):
        ImageClassifier(distribute="spark").fit(X, Y)  # type: ignore[arg-type]


@pytest.mark.slow
def test_on_ray_the_same_networks_are_as_good() -> None:
    found = []
    for distribute in (None, "ray"):
        classifier = ImageClassifier(max_trials=4, seed=0, verbose=0, tuner="random", distribute=distribute)  # type: ignore[arg-type]
        classifier.fit(X, Y, epochs=1)
        shared = [e for e in classifier.evaluations_ if e.source == "shared_weights"]
        found.append({evaluation.architecture: evaluation.metrics["val_accuracy"] for evaluation in shared})
    assert len(found[0]) == 4 and found[0] == pytest.approx(found[1], abs=0.02)
