import math

import haq_agents
import numpy as np
import pytest
from haq_table import PolicyTable, load_table

from automl_keras.quantization.bit_space import space_of
from automl_keras.quantization.layers import QuantizableLayer
from automl_keras.quantization.profiles import get_profile


def test_the_table_is_complete() -> None:
    table = load_table()
    assert table.space.size == len(table.correct) == len(table.loss) == len(table.size)
    policy = table.space.canonical({table.space.names[0]: table.space.decisions[0].options[0]})
    assert table.index(table.space.default()) == table.space.size - 1
    assert table.index(policy) == table.space.size - 1 - table.space.size // len(table.space.decisions[0].options)
    found = table.evaluate(policy)
    assert found.metrics["val_accuracy"] == table.accuracies[table.index(policy)]
    assert found.cost.size_kb == table.size_of(policy) / 1000
    assert np.isfinite(table.loss).all()


@pytest.mark.parametrize("agent", ["random", "evolution", "ilp"])
def test_regrets_are_those_of_the_best_within_the_limit(agent: str) -> None:
    """Of four policies the last, the best, is too large; each is evaluated once, in the agent's order."""
    layers = [QuantizableLayer(name, "FULLY_CONNECTED", 1, 1, 10, 10, 100, 10, 100, 1) for name in ("a", "b")]
    space = space_of(layers, get_profile("litert>=2.1.6"), bits=(4, 8))
    correct, size = np.array([1200, 1500, 1400, 1900]), np.array([1000, 1200, 1200, 1400])
    table = PolicyTable(space, correct, np.array([0.9, 0.5, 0.6, 0.1]), size)
    regret = {(4, 4): 15.0, (4, 8): 0.0, (8, 4): 5.0, (8, 8): math.inf}
    recorder = haq_agents.Recorder(table, 1300.0)
    policies = [space.canonical({"a": a, "b": b}) for a, b in regret]
    for policy in reversed(policies):
        recorder.evaluate(policy)
    assert recorder.best == [-math.inf, 0.7, 0.75, 0.75]
    found = [round(points, 9) for points in haq_agents.regrets(agent, table, 1300.0, seed=0, trials=4)]
    # "random" evaluates what is within the limit alone; the others first the sensitivities, the largest leading.
    if agent == "random":
        assert len(found) <= 3
        assert found[0] in (15.0, 0.0, 5.0)
    else:
        assert found[:3] in ([math.inf, 0.0, 0.0], [math.inf, 5.0, 0.0])
    assert found[-1] == 0.0


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([-0.5, -0.6, -0.5, -0.4], "DDPG is better (-0.500"),
        ([0.5, 0.6, 0.5, 0.4], "DDPG is worse (+0.500"),
        ([0.5, -0.6, 0.5, -0.4], "not told apart"),
    ],
)
def test_what_is_said_of_two_agents(differences: list[float], said: str) -> None:
    random = np.array([1.0, 1.2, 0.8, 1.1])
    assert haq_agents.verdict(np.add(random, differences), random).startswith(said)
