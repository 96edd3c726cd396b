"""`StrategyTestCase`: what every strategy has to keep, as tests to inherit."""

from automl_keras.testing.proposal_checks import ProposalChecks
from automl_keras.testing.result_checks import ResultChecks
from automl_keras.testing.state_checks import StateChecks


class StrategyTestCase(ProposalChecks, ResultChecks, StateChecks):
    """The tests every strategy passes. A concrete test supplies the fixture `make_strategy`.

    The fixture returns a callable with the arguments of `Strategy`. A fresh process has to import the
    callable, so it is a class, a function of a module or a `functools.partial` of one:

    ```python
    class TestEvolution(StrategyTestCase):
        @pytest.fixture
        def make_strategy(self):
            return partial(EvolutionStrategy, population_size=5, sample_size=2)
    ```

    Choose settings for which `num_warm_up` evaluations (3) lie within the warm-up and `num_learned` (40)
    beyond it, or set these attributes. The checks run before any result, in the warm-up, after it, and
    after the state went through JSON into a new strategy.
    """
