import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.tuners import SYSTEMS, EvolutionStrategy, RandomStrategy, get_system


def test_rows() -> None:
    assert get_system("random").strategy is RandomStrategy
    assert get_system("evolution").strategy is EvolutionStrategy
    for system in SYSTEMS.values():
        assert system.sampler == "sandwich"
        assert system.evaluation == "shared_weights"
        assert system.description.endswith(".")
        assert "\n" not in system.description + system.reference
        assert system.reference


def test_unknown_name() -> None:
    with pytest.raises(InvalidArgumentError, match=r"one of \['evolution', 'random'\]\. Received: name='enas'"):
        get_system("enas")
