import math

import pytest

from automl_keras.errors import SearchError
from automl_keras.evaluation import Evaluation
from automl_keras.quantization.sensitivity import largest_policy, sensitivities
from automl_keras.search_space import Architecture, Decision, SearchSpace

SPACE = SearchSpace([Decision("a", (2, 4, 8), default=8), Decision("b", (8,)), Decision("c", (4, 8), default=8)])
LOSSES = {(8, 8): 0.5, (4, 8): 0.6, (2, 8): math.nan, (8, 4): 0.45}


class Recorder:
    def __init__(self) -> None:
        self.measured: list[Architecture] = []

    def evaluate(self, policy: Architecture) -> Evaluation:
        self.measured.append(policy)
        return Evaluation(policy, {"val_loss": LOSSES[policy["a"], policy["c"]]})  # type: ignore[index]


def test_one_layer_at_a_time_is_lowered() -> None:
    recorder = Recorder()
    rises = sensitivities(recorder.evaluate, SPACE)
    assert recorder.measured[0] == largest_policy(SPACE) == SPACE.default()
    assert len(recorder.measured) == 4
    assert rises["a"] == {2: math.inf, 4: pytest.approx(0.1), 8: 0.0}
    assert rises["b"] == {8: 0.0}
    assert rises["c"] == {4: pytest.approx(-0.05), 8: 0.0}


@pytest.mark.parametrize("in_time", [0, 1, 2, 3])
def test_what_is_not_measured_in_time_is_not_to_be_chosen(in_time: int) -> None:
    recorder = Recorder()
    is_late = lambda: len(recorder.measured) >= in_time  # noqa: E731
    rises = sensitivities(recorder.evaluate, SPACE, order=["c", "a"], is_late=is_late)
    assert len(recorder.measured) == in_time
    assert rises["c"] == {4: pytest.approx(-0.05) if in_time >= 2 else math.inf, 8: 0.0}
    assert rises["a"] == {2: math.inf, 4: math.inf, 8: 0.0}
    assert rises["b"] == {8: 0.0}


@pytest.mark.parametrize(
    ("metrics", "error", "reason"),
    [({"val_loss": math.inf}, None, "val_loss=inf"), ({}, None, "val_loss=None"), ({}, "SIGSEGV", "SIGSEGV")],
)
def test_the_reference_must_not_fail_and_why_it_did_is_said(
    metrics: dict[str, float], error: str | None, reason: str
) -> None:
    with pytest.raises(SearchError, match=f"Received: {reason}"):
        sensitivities(lambda policy: Evaluation(policy, metrics, error=error), SPACE)
