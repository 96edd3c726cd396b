import pytest

from automl_keras.search_space import NetworkSpace, image_space, macro_space
from automl_keras.supernet import SAMPLERS
from automl_keras.tuners import SYSTEMS, EvolutionStrategy, RandomStrategy


def test_rows_name_their_strategies() -> None:
    assert SYSTEMS["random"].strategy is RandomStrategy
    assert SYSTEMS["evolution"].strategy is EvolutionStrategy


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_every_row_can_be_built(name: str) -> None:
    system = SYSTEMS[name]
    space: NetworkSpace = image_space((8, 8, 1), 2) if system.space == "image" else macro_space((8, 8, 1), 2)
    rounds = system.rounds(space, epochs=None, seconds=60.0, largest=0.5)
    assert sum(planned.seconds or 0.0 for planned in rounds) == pytest.approx(60.0)
    assert {planned.sampler for planned in rounds} <= {*SAMPLERS, "policy"}
    assert system.description and system.reference
    policy = {} if system.policy is None else {"policy": system.policy(space, seed=0)}
    assert len(system.strategy(space, seed=0, **policy).ask(3)) == 3
