"""A strategy of your own: hill climbing, compared with random search on a toy.

`propose` is all it has to say; what is known, pending or infeasible is filtered out, and the state kept, by `Strategy`.
In Keras-Tuner it is `StrategyOracle(HillClimbingStrategy(space), max_trials=100)`. The tests that every strategy has to
pass are inherited from `automl_keras.testing.StrategyTestCase`. Run it with `python examples/03_custom_strategy.py`.
"""

import numpy as np

from automl_keras.search_space import Architecture
from automl_keras.testing import flat_space, run_search, toy_score
from automl_keras.tuners import RandomStrategy, Strategy


class HillClimbingStrategy(Strategy):
    """Changes one decision of the best architecture so far; one draft in five comes from the whole space."""

    def propose(self, rng: np.random.Generator) -> Architecture:
        best = self.best()
        if best is None or rng.random() < 0.2:
            return self.space.sample(rng)
        return self.space.mutate(best.architecture, rng)


def main() -> None:
    space = flat_space(num_decisions=8, num_options=4)
    print(f"{space}: the best score found, mean of 20 searches\n")
    print("evaluations  random search  hill climbing")
    for num_trials in (25, 50, 100, 200):
        means = []
        for strategy_class in (RandomStrategy, HillClimbingStrategy):
            searches = [run_search(strategy_class(space, seed=seed), num_trials) for seed in range(20)]
            means.append(np.mean([max(map(toy_score, architectures)) for architectures in searches]))
        print(f"{num_trials:11}  {means[0]:13.3f}  {means[1]:13.3f}")


if __name__ == "__main__":
    main()
