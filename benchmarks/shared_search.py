"""Searches on the weights of the benchmark's supernets, and what their winners are worth when trained alone."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rank_correlation import alone_accuracies, shared_accuracies
from shared_supernets import EVALUATIONS, SEARCH_SEEDS, proposal_results, supernet_results
from shared_training import Setting, alone_results

from automl_keras.evaluation import Evaluation, network_cost
from automl_keras.search_space import Architecture
from automl_keras.tuners import STRATEGIES

SPACE = "operations"
PLAIN = "random search, alone"
DERIVATION = "derivation"  # of what a policy draws
RANDOM = "random"


class System(NamedTuple):
    """How the weights are trained, and what searches on them."""

    training: str
    strategy: str


BASELINE = "random_ws"
SYSTEMS = {
    BASELINE: System("uniform", RANDOM),
    "enas": System("enas", DERIVATION),
    "fairnas": System("fair", "nsga2"),
    "mdenas": System("mdenas", DERIVATION),
    "once_for_all": System("uniform", "predictor"),
    "evolution": System("sandwich", "evolution"),
}
# The defaults are for 50 to 300 evaluations of large spaces: a first population of 20 would be all there is.
SETTINGS: Mapping[str, dict[str, Any]] = {
    "nsga2": {"population_size": 6},
    "evolution": {"population_size": 6, "sample_size": 3},
    "predictor": {"num_initial_points": 6, "refit_interval": 2},
}


class Comparison:
    """All searches of all systems whose supernets are trained.

    The score of a network on a supernet does not change, so each has been evaluated once, and a search looks it up.

    Args:
        setting: With the files of results.

    Attributes:
        alone: Accuracy of each network trained alone, mean of the seeds, by code.
        curves: By system, the accuracy alone of the best found so far: (supernets, search seeds, evaluations).
        random: The same of random search on the weights of that system.
        best_shared: By system, the mean accuracy alone of the networks that are the best on the weights.
        seconds: By system, medians for the training and for one evaluation.
        gradients: Of every supernet.
        affordable: Networks that plain random search trains with as many gradients.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.space = setting.spaces[SPACE]
        self.codes = {architecture: code for code, architecture in setting.networks(SPACE).items()}
        self.costs = {a: network_cost(self.space.network_spec(a)) for a in self.codes}
        self.proposed = {
            (line["training"], int(line["seed"]), int(line["search_seed"])): line["networks"].split()
            for line in proposal_results(setting).lines()
        }
        self.alone = {code: float(values.mean()) for code, values in alone_accuracies(setting, SPACE).items()}
        self.curves: dict[str, np.ndarray] = {}
        self.random: dict[str, np.ndarray] = {}
        self.best_shared: dict[str, float] = {}
        self.seconds: dict[str, tuple[float, float]] = {}
        supernets = [line for line in supernet_results(setting).lines() if line["space"] == SPACE]
        self.gradients = sorted({int(line["gradient_evaluations"]) for line in supernets})
        for name, system in SYSTEMS.items():
            own = [line for line in supernets if line["training"] == system.training]
            if {int(line["seed"]) for line in own} >= set(setting.supernet_seeds):
                self._compare(name, system, own)
        self._search_plainly()

    def _compare(self, name: str, system: System, supernets: Sequence[Mapping[str, str]]) -> None:
        scores = shared_accuracies(self.setting, SPACE, system.training, "recalibrated")
        self.curves[name] = self._curves(system, scores)
        self.random[name] = self._curves(system._replace(strategy=RANDOM), scores)
        best = [max(score, key=lambda code: score[code]) for score in scores.values()]
        self.best_shared[name] = float(np.mean([self.alone[code] for code in best]))
        train, evaluate = (
            float(np.median([float(line[column]) for line in supernets]))
            for column in ("training_seconds", "evaluation_seconds")
        )
        self.seconds[name] = train, evaluate

    def _search_plainly(self) -> None:
        """Random search that trains every network from scratch and takes the best on the validation images."""
        lines = [line for line in alone_results(self.setting).lines() if line["space"] == SPACE]
        validation = alone_accuracies(self.setting, SPACE, "validation")
        scores = {
            seed: {code: float(values[seed % len(values)]) for code, values in validation.items()}
            for seed in self.setting.supernet_seeds
        }
        self.affordable = max(1, self.setting.gradient_evaluations // self.setting.steps_alone)
        self.curves[PLAIN] = self._curves(System("", RANDOM), scores)[..., : self.affordable]
        self.seconds[PLAIN] = 0.0, float(np.median([float(line["seconds"]) for line in lines]))

    def _curves(self, system: System, scores: Mapping[int, Mapping[str, float]]) -> np.ndarray:
        return np.array(
            [
                [self._alone(self._search(system, supernet, seed, scores[supernet])) for seed in SEARCH_SEEDS]
                for supernet in self.setting.supernet_seeds
            ]
        )

    def _alone(self, winners: Sequence[str]) -> list[float]:
        """Where all networks are evaluated before the end, the winner stays."""
        return [self.alone[code] for code in [*winners, *winners[-1:] * EVALUATIONS][:EVALUATIONS]]

    def _search(self, system: System, supernet: int, seed: int, scores: Mapping[str, float]) -> list[str]:
        """The winner after each evaluation."""
        if system.strategy == DERIVATION:
            proposed = self.proposed[system.training, supernet, seed]
            return [max(proposed[: n + 1], key=lambda code: scores[code]) for n in range(len(proposed))]
        strategy = STRATEGIES[system.strategy](self.space, seed=seed, **SETTINGS.get(system.strategy, {}))
        winners: list[str] = []
        while len(winners) < EVALUATIONS and (asked := strategy.ask()):
            strategy.tell([self._evaluation(asked[0], scores)])
            best = strategy.best()
            assert best is not None  # something has been told
            winners.append(self.codes[best.architecture])
        return winners

    def _evaluation(self, architecture: Architecture, scores: Mapping[str, float]) -> Evaluation:
        accuracy = scores[self.codes[architecture]]
        return Evaluation(architecture, {"val_accuracy": accuracy}, self.costs[architecture], "shared_weights")
