import json
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.search_space.cell import FIELDS, cell_space
from automl_keras.testing import StrategyTestCase, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners.pnas import PAPER_SETTINGS, PNASOracle, PNASStrategy
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Strategy


class TestPNASStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., PNASStrategy]:
        # Fits are made from scratch, so seldom is faster; 40 evaluations lead beyond all levels of the flat space.
        return partial(PNASStrategy, beam_size=5, refit_every=10, embedding_size=4, hidden_size=8)


def _last_decided(architecture: Architecture) -> int:
    return max((index for index in range(8) if architecture[f"d{index}"] != 0), default=0)


def _blocks(cell: Architecture) -> Counter:
    """The blocks that read no other."""
    blocks = [tuple(cell[f"block{i}_{field}"] for field in FIELDS) for i in range(int(cell["num_blocks"]))]
    return Counter(block for block in blocks if int(block[0]) < 0 and int(block[2]) < 0)


def test_paper_goes_through_all_136_cells_of_one_block_first() -> None:
    strategy = PNASStrategy(cell_space(), seed=0, **{**PAPER_SETTINGS, "max_candidates": 2_000})
    proposals = run_search(strategy, 140)
    assert [cell["num_blocks"] for cell in proposals] == [1] * 136 + [2] * 4
    assert len(set(proposals)) == 140


def test_beam_of_cells_grows_by_one_block_a_level() -> None:
    space = cell_space(3, ("conv", "pool", "identity"))
    strategy = PNASStrategy(space, seed=0, first_level_size=1_000, beam_size=4, refit_every=4)
    proposals = run_search(strategy, 21 + 4 + 4 + 10)
    assert [cell["num_blocks"] for cell in proposals[:29]] == [1] * 21 + [2] * 4 + [3] * 4
    beam = sorted(proposals[:21], key=toy_score, reverse=True)[:4]
    for child in proposals[21:25]:
        assert any(_blocks(parent) <= _blocks(child) for parent in beam)
    assert len(set(proposals)) == 39


def test_fixed_length_grows_by_a_group_of_decisions_a_level() -> None:
    strategy = PNASStrategy(flat_space(), seed=0, group_size=2, beam_size=6)
    proposals = run_search(strategy, 9 + 3 * 6)
    assert [_last_decided(a) <= 1 for a in proposals[:9]] == [True] * 9
    for level, limit in ((1, 3), (2, 5), (3, 7)):
        members = proposals[9 + 6 * (level - 1) : 9 + 6 * level]
        assert max(map(_last_decided, members)) in (limit - 1, limit)
        known = proposals[: 9 + 6 * (level - 1)]
        beam = sorted(known, key=toy_score, reverse=True)[:6]
        for child in members:
            kept = [f"d{index}" for index in range(limit - 1)]
            assert any(all(child[name] == parent[name] for name in kept) for parent in beam)


def test_children_belong_to_the_level_of_their_parent() -> None:
    space = SearchSpace(
        [
            Decision("fixed", (8,)),
            Decision("operation", ("skip", "conv")),
            Decision("kernel", (3, 5, 7), parent=("operation", ("conv",))),
            Decision("width", (16, 32)),
        ]
    )
    proposals = PNASStrategy(space, seed=0, group_size=1).ask(4)
    assert {a.get("kernel") for a in proposals} == {None, 3, 5, 7}
    assert {a["width"] for a in proposals} == {16}


def test_share_of_a_first_level_that_is_too_large() -> None:
    strategy = PNASStrategy(cell_space(), seed=0, first_level_size=7, beam_size=3)
    assert [cell["num_blocks"] for cell in run_search(strategy, 10)] == [1] * 7 + [2] * 3


def test_pending_and_failed_ones_never_block_a_level() -> None:
    space = cell_space(3, ("conv", "pool"))
    strategy = PNASStrategy(space, seed=0, first_level_size=4, beam_size=3)
    asked = strategy.ask(8)
    assert {cell["num_blocks"] for cell in asked} == {1}  # the next ones of the level
    strategy.tell([Evaluation(cell, error="crashed") for cell in asked[:4]])
    assert strategy.ask()[0]["num_blocks"] == 1
    strategy.tell([toy_evaluation(cell) for cell in asked[4:]])
    second = strategy.ask(5)
    assert {cell["num_blocks"] for cell in second} == {2}
    strategy.tell([toy_evaluation(cell) for cell in second[:3]])
    assert strategy.ask()[0]["num_blocks"] == 3
    # Ten cells of one block: when all of them failed the search goes on.
    strategy = PNASStrategy(space, seed=0)
    strategy.tell([Evaluation(cell, error="crashed") for cell in strategy.ask(10)])
    assert len(run_search(strategy, 30)) == 30


def test_learns_though_the_first_level_was_not_completed() -> None:
    strategy = PNASStrategy(flat_space(), seed=0, group_size=1)
    first = strategy.ask(3)
    strategy.tell([Evaluation(first[0], error="crashed"), *map(toy_evaluation, first[1:])])
    [child] = strategy.ask()
    assert any(child["d0"] == parent["d0"] for parent in first[1:])
    assert _last_decided(child) <= 1


def test_after_the_last_level_the_best_are_varied() -> None:
    space = flat_space()
    strategy = PNASStrategy(space, seed=0, group_size=1, first_level_size=3, beam_size=3)
    proposals = run_search(strategy, 60)
    # A level is one decision, of which two are taken anew in a member of the beam of that time.
    for index in range(40, 60):
        known = sorted(proposals[:index], key=toy_score, reverse=True)
        distances = [sum(proposals[index][name] != parent[name] for name in space.names) for parent in known[:20]]
        assert min(distances) <= 2
    later, drawn = proposals[40:], run_search(RandomStrategy(space, seed=0), 60)
    assert np.mean([toy_score(a) for a in later]) > np.mean([toy_score(a) for a in drawn])


@pytest.mark.parametrize("predictor", ["mlp", "lstm"])
def test_resumed_search_goes_on_the_same(predictor: str) -> None:
    make = partial(PNASStrategy, flat_space(), predictor=predictor, embedding_size=4, hidden_size=4, beam_size=3)
    strategy = make(seed=5)
    run_search(strategy, 33)
    resumed = make(seed=6)
    resumed.ask(2)  # of the other seed; forgotten by `set_state`
    resumed.set_state(json.loads(json.dumps(strategy.get_state())))
    assert run_search(resumed, 12) == run_search(strategy, 12)


def test_level_of_a_decision_that_turns_up_later() -> None:
    strategy = PNASStrategy(flat_space(3), seed=0, group_size=1, first_level_size=3, beam_size=2)
    run_search(strategy, 7)
    strategy.extend(SearchSpace([*strategy.space.decisions, Decision("late", ("no", "yes"))]))
    assert "yes" in {a["late"] for a in run_search(strategy, 4)}


def test_other_scale_of_the_objective_changes_nothing() -> None:
    def proposals(transform: Callable[[float], float], objective: str) -> list[Architecture]:
        strategy = PNASStrategy(flat_space(), objective, seed=0)
        return run_search(strategy, 40, lambda a: Evaluation(a, {objective: transform(toy_score(a))}))

    expected = proposals(lambda score: score, "val_accuracy")
    assert proposals(lambda score: -1e300 * score, "val_loss") == expected


def test_beats_random_search() -> None:
    space = flat_space(5, 6)  # 7,776 architectures

    def best_scores(make: Callable[..., Strategy]) -> np.ndarray:
        return np.array([max(map(toy_score, run_search(make(space, seed=seed), 100))) for seed in range(6)])

    assert (best_scores(PNASStrategy) > best_scores(RandomStrategy) + 0.02).all()


@pytest.mark.parametrize(
    ("settings", "received"),
    [
        ({"beam_size": 0}, "beam_size=0"),
        ({"first_level_size": 0}, "first_level_size=0"),
        ({"group_size": -1}, "group_size=-1"),
        ({"refit_every": 0}, "refit_every=0"),
        ({"max_candidates": 0}, "max_candidates=0"),
        ({"embedding_size": 0}, "embedding_size=0"),
        ({"hidden_size": 0}, "hidden_size=0"),
        ({"predictor": "tree"}, "predictor='tree'"),
        ({"exploration": -0.1}, "exploration=-0.1"),
    ],
)
def test_settings_are_checked(settings: dict, received: str) -> None:
    with pytest.raises(InvalidArgumentError, match=received):
        PNASStrategy(flat_space(), **settings)


def test_oracle_takes_the_settings() -> None:
    oracle = PNASOracle(space=flat_space(), seed=0, beam_size=4, predictor="lstm")
    assert isinstance(oracle.strategy, PNASStrategy)
    assert (oracle.strategy.beam_size, oracle.strategy.predictor, oracle.seed) == (4, "lstm", 0)
