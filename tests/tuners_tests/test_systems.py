import pytest

from automl_keras.search_space import image_space
from automl_keras.supernet import SAMPLERS
from automl_keras.tuners import SYSTEMS, EvolutionStrategy, RandomStrategy


def test_rows_name_their_strategies() -> None:
    assert SYSTEMS["random"].strategy is RandomStrategy
    assert SYSTEMS["evolution"].strategy is EvolutionStrategy


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_every_row_can_be_built(name: str) -> None:
    system = SYSTEMS[name]
    assert system.sampler in SAMPLERS
    assert system.description and system.reference
    assert len(system.strategy(image_space((8, 8, 1), 2), seed=0).ask(3)) == 3
