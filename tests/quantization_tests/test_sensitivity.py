import math

import pytest

from automl_keras.errors import SearchError
from automl_keras.quantization.sensitivity import largest_policy, sensitivities
from automl_keras.search_space import Architecture, Decision, SearchSpace

SPACE = SearchSpace([Decision("a", (2, 4, 8), default=8), Decision("b", (8,)), Decision("c", (4, 8), default=8)])
LOSSES = {(8, 8): 0.5, (4, 8): 0.6, (2, 8): math.nan, (8, 4): 0.45}


def test_one_layer_at_a_time_is_lowered() -> None:
    measured: list[Architecture] = []

    def loss(policy: Architecture) -> float:
        measured.append(policy)
        return LOSSES[policy["a"], policy["c"]]  # type: ignore[index]

    rises = sensitivities(loss, SPACE)
    assert measured[0] == largest_policy(SPACE) == SPACE.default()
    assert len(measured) == 4
    assert rises["a"] == {2: math.inf, 4: pytest.approx(0.1), 8: 0.0}
    assert rises["b"] == {8: 0.0}
    assert rises["c"] == {4: pytest.approx(-0.05), 8: 0.0}


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_the_reference_must_not_fail(loss: float) -> None:
    with pytest.raises(SearchError, match=f"Received: loss={loss}"):
        sensitivities(lambda _: loss, SPACE)
