import math

import haq_agents
import numpy as np
import pytest
from haq_table import load_table


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


@pytest.mark.parametrize("agent", ["random", "ilp"])
def test_regrets_are_those_of_the_best_within_the_limit(agent: str) -> None:
    table = load_table()
    limit = float(np.median(table.size))
    found = haq_agents.regrets(agent, table, limit, seed=0, trials=40)
    assert found == sorted(found, reverse=True)
    assert math.isfinite(found[-1])
    assert found[-1] >= 0.0


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
