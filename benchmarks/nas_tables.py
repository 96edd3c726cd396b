"""Published tables of trained networks, to compare search strategies without training.

    table = load_table("macro")
    table.query(architecture, rng)     # what a strategy is told, as val_accuracy
    table.true_value(architecture)     # by which it is judged

All accuracies are fractions; `regret` is in accuracy points. Sources and licences: data/README.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from scipy.special import gammaln

from automl_keras.search_space import Decision, SearchSpace
from automl_keras.search_space.decision import Option

DATA = Path(__file__).resolve().parent / "data"
TABLE_NAMES = ("macro", "201-cifar10", "201-cifar100", "201-imagenet16-120")
MACRO_IMAGES = 10_000
# Of the validation and the test part; CIFAR-10's 25,000 validation images were classified by two trained networks.
IMAGES_201 = {"cifar10": (50_000, 10_000), "cifar100": (5_000, 5_000), "imagenet16-120": (3_000, 3_000)}
NOISE_DRAWS = 1_000


@dataclass(frozen=True, eq=False)
class NASTable:
    """Every architecture of a space with its accuracies.

    Attributes:
        name: One of `TABLE_NAMES`.
        space: The architectures; all decisions have equally many options.
        observations: What a query may answer, of shape `(architectures, draws)`; architectures
            are ordered as the numbers that their option indices spell, the first decision leading.
        true_values: By what an architecture is judged, of shape `(architectures,)`.
    """

    name: str
    space: SearchSpace
    observations: np.ndarray
    true_values: np.ndarray

    def index(self, architecture: Mapping[str, Option]) -> int:
        """The row of an architecture; missing decisions count as their defaults."""
        options = self.space.encode(self.space.canonical(architecture))
        return int(np.ravel_multi_index(tuple(options), [len(d.options) for d in self.space.decisions]))

    def query(self, architecture: Mapping[str, Option], rng: np.random.Generator) -> float:
        """One training: the accuracy of a run that `rng` draws among those in the table."""
        draws = self.observations[self.index(architecture)]
        return float(draws[rng.integers(len(draws))])

    def true_value(self, architecture: Mapping[str, Option]) -> float:
        """The accuracy by which an architecture is judged."""
        return float(self.true_values[self.index(architecture)])

    @cached_property
    def best_value(self) -> float:
        """The largest true value."""
        return float(self.true_values.max())

    def regret(self, architecture: Mapping[str, Option]) -> float:
        """How far the true value is below the best, in accuracy points."""
        return 100.0 * (self.best_value - self.true_value(architecture))

    @cached_property
    def floor(self) -> float:
        """The regret expected of who knows all observations and chooses the highest, in accuracy points.

        Among equally high ones the better is chosen. Where observations have no noise the value is
        exact; else it is the mean over 1,000 draws of all observations.
        """
        return float(np.mean([self._regrets[drawn == drawn.max()].min() for drawn in self._draws()]))

    def random_search_regret(self, queries: int) -> float:
        """The expected regret of random search without repeats, which chooses its highest observation.

        By order statistics: the best of `q` out of `N` has rank `r` with probability
        `C(N - r, q - 1) / C(N, q)`. That is exact where observations have no noise; else the regret
        of a rank is the mean over 1,000 draws of all observations. Equal ones share their mean.
        """
        ranks = np.arange(1, len(self.true_values) - queries + 2)
        total = len(self.true_values)
        chances = np.exp(_log_choose(total - ranks, queries - 1) - _log_choose(total, queries))
        return float(chances @ self._regret_by_rank[: len(ranks)])

    def random_search_queries(self, regret: float) -> int | None:
        """How many queries random search needs for an expected regret; `None` if the table is too small."""
        low, high = 0, len(self.true_values)
        if self.random_search_regret(high) > regret:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.random_search_regret(middle) <= regret else (middle, high)
        return high

    @cached_property
    def _regret_by_rank(self) -> np.ndarray:
        """The expected regret of the architecture with the highest, second highest, ... observation."""
        regrets = [_sorted_by_observation(drawn, self._regrets) for drawn in self._draws()]
        return np.mean(regrets, axis=0)

    @property
    def _regrets(self) -> np.ndarray:
        return 100.0 * (self.best_value - self.true_values)

    def _draws(self) -> Iterator[np.ndarray]:
        """One observation of every architecture: the only one, or many times one drawn at random."""
        architectures, draws = self.observations.shape
        rng = np.random.default_rng(0)
        for _ in range(1 if draws == 1 else NOISE_DRAWS):
            yield self.observations[np.arange(architectures), rng.integers(draws, size=architectures)]


@cache
def load_table(name: str) -> NASTable:
    """One of the tables `TABLE_NAMES`.

    - "macro": NAS-Bench-Macro, eight blocks on CIFAR-10, trained with three seeds each. A query
      answers the test accuracy of one seed, the true value is the mean of the three.
    - "201-...": NAS-Bench-201 after 12 epochs. A query answers the validation accuracy, the true
      value is the test accuracy. `edge_0_2` is the operation from node 0 to node 2; an undecided
      one counts as `skip_connect`, as an undecided block of "macro" counts as `identity`.
    """
    if name == "macro":
        accuracies = _counts("nas_bench_macro", "cifar10_test") / MACRO_IMAGES
        blocks = ("identity", "mbconv_e3_k3", "mbconv_e6_k5")
        space = SearchSpace([Decision(f"block{index}", blocks) for index in range(8)])
        return NASTable(name, space, accuracies, accuracies.mean(axis=1))
    dataset = name.removeprefix("201-")
    if dataset == name or dataset not in IMAGES_201:
        raise ValueError(f"`name` must be one of {TABLE_NAMES}. Received: name={name!r}")
    validation, test = (
        _counts("nas_bench_201", f"{dataset.replace('-', '_')}_{part}") / images
        for part, images in zip(("validation", "test"), IMAGES_201[dataset], strict=True)
    )
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    edges = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    space = SearchSpace([Decision(f"edge_{a}_{b}", operations, default="skip_connect") for a, b in edges])
    return NASTable(name, space, validation[:, None], test)


def _counts(file: str, array: str) -> np.ndarray:
    """How many images each network got right."""
    with np.load(DATA / f"{file}.npz") as arrays:
        return arrays[array].astype(np.float64)


def _sorted_by_observation(observations: np.ndarray, regrets: np.ndarray) -> np.ndarray:
    """Regrets from the highest observation to the lowest; equal observations share their mean."""
    _, groups = np.unique(-observations, return_inverse=True)
    means = np.bincount(groups, regrets) / np.bincount(groups)
    return means[np.sort(groups)]


def _log_choose(n: np.ndarray | int, k: int) -> np.ndarray:
    return gammaln(np.asarray(n) + 1) - gammaln(k + 1) - gammaln(np.asarray(n) - k + 1)
