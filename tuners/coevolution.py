"""Co-evolution: evolve modules, and blueprints that say which kind of module goes where."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy

UP_TO_LAST_NUMBER = re.compile(r".*\d")


@dataclass(frozen=True)
class Slot:
    """A place in the network that one module fills.

    Attributes:
        name: What the names of its decisions begin with.
        columns: The indices of its decisions in the space.
        kind: Slots of one kind hold the same modules: their names differ in numbers alone and
            their decisions have equally many options.
    """

    name: str
    columns: tuple[int, ...]
    kind: int


@dataclass(frozen=True)
class ModulePopulation:
    """The modules of one kind.

    Attributes:
        genes: Option indices, -1 where inactive, of shape `(modules, decisions of a slot)`.
        fitness: The mean score of the networks each takes part in, counted once per slot.
        species: The species of each, numbered from the one of the fittest module on.
        weights: How likely each species is to be drawn.
    """

    genes: np.ndarray
    fitness: np.ndarray
    species: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Populations:
    """What co-evolves.

    Attributes:
        slots: The places of modules.
        modules: A population for each kind of slot.
        blueprints: A species for each slot, of shape `(blueprints, slots)`.
        fitness: The mean score of the networks of each blueprint.
    """

    slots: tuple[Slot, ...]
    modules: tuple[ModulePopulation, ...]
    blueprints: np.ndarray
    fitness: np.ndarray


class CoEvolutionStrategy(Strategy):
    """Co-evolution of modules and blueprints (CoDeepNEAT, Miikkulainen et al., 2017).

    A module is the decisions of one slot of the network: those whose names agree up to their last
    number, such as "stage0_kernel" and "stage0_width"; a name without a number stands alone. Slots
    that differ in their numbers alone share their modules. Modules that differ in few decisions form
    a species, and a blueprint names a species for each slot. The best `population_size` networks so far are the present
    populations: they are what they consist of. The fitness of a module is the mean score of the
    networks among them it takes part in, and so is that of a blueprint.

    Each proposal takes a blueprint, crosses it with another, points one slot to another species,
    fills each slot with a fit member of its species, and draws one decision of one module again; all
    but filling with some probability. Species are drawn by the rank of the mean fitness of their members, so that
    none gains by having many (fitness sharing).

    Differences from CoDeepNEAT: the space is fixed, so neither blueprints nor modules grow or have a
    topology; populations are refreshed after each result instead of after a generation, and any number
    of workers can ask; a slot chooses its module by itself, where CoDeepNEAT puts the same one wherever
    a blueprint names the same species; and no architecture is evaluated twice.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`. They count as part of the first, random networks.
        population_size: The number of networks of which the populations consist; as many come first.
        sample_size: Blueprints are the fittest of so many random ones, and so are the modules of a species.
        crossover_probability: How often a blueprint takes each slot from either of two.
        mutation_probability: How often a slot points to another species, and how often a
            decision of a module is drawn again.
        species_distance: Modules are of one species if at most this share of their decisions differs
            from its fittest member. 0 makes each module a species.

    Raises:
        InvalidArgumentError: If `population_size` or `sample_size` is below 1, or a probability or
            the distance is not from 0 to 1; also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        population_size: int = 30,
        sample_size: int = 6,
        crossover_probability: float = 0.5,
        mutation_probability: float = 0.5,
        species_distance: float = 0.5,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        for name, number in (("population_size", population_size), ("sample_size", sample_size)):
            if number < 1:
                raise InvalidArgumentError(f"`{name}` must be at least 1. Received: {name}={number}")
        for name, share in (
            ("crossover_probability", crossover_probability),
            ("mutation_probability", mutation_probability),
            ("species_distance", species_distance),
        ):
            if not 0.0 <= share <= 1.0:
                raise InvalidArgumentError(f"`{name}` must be from 0 to 1. Received: {name}={share}")
        self.population_size = population_size
        self.sample_size = sample_size
        self.crossover_probability = crossover_probability
        self.mutation_probability = mutation_probability
        self.species_distance = species_distance
        self._made_of: tuple[SearchSpace, tuple[Evaluation, ...]] | None = None
        self._populations: Populations

    @property
    def populations(self) -> Populations:
        """The present modules and blueprints; there must be an evaluation."""
        evaluations = self.evaluations
        if self._made_of is None or self._made_of[0] is not self.space or self._made_of[1] != evaluations:
            best = heapq.nlargest(self.population_size, evaluations, key=self.score)
            genes = np.array([self.space.encode(evaluation.architecture) for evaluation in best])
            scores = np.array([self.score(evaluation) for evaluation in best])
            self._populations = make_populations(slots_of(self.space), genes, scores, self.species_distance)
            self._made_of = self.space, evaluations
        return self._populations

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space while the first networks are incomplete, then a blueprint filled with modules."""
        if not self.evaluations or len(self.evaluations) + len(self.pending) < self.population_size:
            return self.space.sample(rng)
        populations = self.populations
        genes = np.empty(len(self.space.decisions), dtype=np.int64)
        for slot, species in zip(populations.slots, self._blueprint(populations, rng), strict=True):
            modules = populations.modules[slot.kind]
            members = np.flatnonzero(modules.species == species)
            genes[list(slot.columns)] = modules.genes[members[self._fit(modules.fitness[members], rng)]]
        if rng.random() < self.mutation_probability:
            columns = populations.slots[rng.integers(len(populations.slots))].columns
            genes[columns[rng.integers(len(columns))]] = -1
        values: dict[str, Option] = {}
        for decision, gene in zip(self.space.decisions, genes, strict=True):
            # Inactive where the module comes from, or mutated.
            index = gene if gene >= 0 else rng.integers(len(decision.options))
            values[decision.name] = decision.options[index]
        return self.space.canonical(values)

    def _blueprint(self, populations: Populations, rng: np.random.Generator) -> np.ndarray:
        """A species for each slot."""
        blueprint = populations.blueprints[self._fit(populations.fitness, rng)].copy()
        if rng.random() < self.crossover_probability:
            other = populations.blueprints[self._fit(populations.fitness, rng)]
            blueprint = np.where(rng.random(len(blueprint)) < 0.5, blueprint, other)
        if rng.random() < self.mutation_probability:
            slot = rng.integers(len(blueprint))
            weights = populations.modules[populations.slots[slot].kind].weights
            blueprint[slot] = rng.choice(len(weights), p=weights)
        return blueprint

    def _fit(self, fitness: np.ndarray, rng: np.random.Generator) -> int:
        """The index of the fittest of a few, drawn with replacement."""
        drawn = rng.integers(len(fitness), size=self.sample_size)
        return int(drawn[fitness[drawn].argmax()])


def slots_of(space: SearchSpace) -> tuple[Slot, ...]:
    """The slots of a space, in the order of their first decisions."""
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(space.names):
        numbered = UP_TO_LAST_NUMBER.match(name)
        columns.setdefault(numbered[0] if numbered else name, []).append(column)
    kinds: dict[tuple[object, ...], int] = {}
    slots = []
    for name, own in columns.items():
        decisions = [space.decisions[column] for column in own]
        signature = (re.sub(r"\d+", "#", name), *((d.name[len(name) :], len(d.options)) for d in decisions))
        slots.append(Slot(name, tuple(own), kinds.setdefault(signature, len(kinds))))
    return tuple(slots)


def make_populations(
    slots: Sequence[Slot], genes: np.ndarray, scores: np.ndarray, species_distance: float
) -> Populations:
    """The modules and blueprints that networks consist of.

    Args:
        slots: The slots of the space.
        genes: The networks as `SearchSpace.encode` gives them, of shape `(networks, decisions)`.
        scores: Their scores, of shape `(networks,)`; higher is better.
        species_distance: See `CoEvolutionStrategy`.
    """
    blueprints = np.empty((len(genes), len(slots)), dtype=np.int64)
    modules = []
    for kind in range(1 + max(slot.kind for slot in slots)):
        own = [index for index, slot in enumerate(slots) if slot.kind == kind]
        rows = np.concatenate([genes[:, list(slots[index].columns)] for index in own])
        distinct, members, fitness = _mean_by_row(rows, np.tile(scores, len(own)))
        species = speciate(distinct, fitness, species_distance)
        shared = np.bincount(species, fitness) / np.bincount(species)
        ranks = 1.0 + shared.argsort(kind="stable").argsort()
        modules.append(ModulePopulation(distinct, fitness, species, ranks / ranks.sum()))
        blueprints[:, own] = species[members].reshape(len(own), len(genes)).T
    distinct, _, fitness = _mean_by_row(blueprints, scores)
    return Populations(tuple(slots), tuple(modules), distinct, fitness)


def speciate(genes: np.ndarray, fitness: np.ndarray, species_distance: float) -> np.ndarray:
    """The species of each module: the first whose founder is near; else it founds the next. The fittest come first."""
    species = np.empty(len(genes), dtype=np.int64)
    founders: list[int] = []
    for module in np.argsort(-fitness, kind="stable"):
        distances = (genes[founders] != genes[module]).mean(axis=1) if founders else np.empty(0)
        near = np.flatnonzero(distances <= species_distance)
        species[module] = near[0] if len(near) else len(founders)
        if not len(near):
            founders.append(module)
    return species


def _mean_by_row(rows: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct rows, which of them each row is, and the mean score of each."""
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)  # NumPy 2.0 gave it a second axis
    return distinct, inverse, np.bincount(inverse, scores) / np.bincount(inverse)


class CoEvolutionOracle(NamedOracle):
    """`CoEvolutionStrategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = CoEvolutionStrategy
