from itertools import combinations, permutations, product

import numpy as np
import pytest
from nas_tables import DATA, TABLE_NAMES, NASTable, load_table

from automl_keras.errors import InvalidArchitectureError
from automl_keras.search_space import Architecture, Decision, SearchSpace

BLOCKS = ("identity", "mbconv_e3_k3", "mbconv_e6_k5")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def _macro(code: str) -> Architecture:
    return Architecture({f"block{index}": BLOCKS[int(digit)] for index, digit in enumerate(code)})


def _cell(code: str) -> Architecture:
    """Operations in the order of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
    edges = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    return Architecture({edge: OPERATIONS[int(digit)] for edge, digit in zip(edges, code, strict=True)})


def _small_table(observations: list[list[float]], true_values: list[float]) -> NASTable:
    space = SearchSpace([Decision("d", tuple(range(len(true_values))))])
    return NASTable("small", space, np.array(observations), np.array(true_values))


@pytest.mark.parametrize(("name", "size"), [("macro", 6_561), ("201-cifar10", 15_625)])
def test_size_and_names_of_the_spaces(name: str, size: int) -> None:
    space = load_table(name).space
    assert space.size == size == len(load_table(name).observations)
    if name == "macro":
        assert space.names == tuple(f"block{index}" for index in range(8))
        assert space.default() == _macro("00000000")
    else:
        assert space.names == ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
        assert space.default() == _cell("111111")


@pytest.mark.parametrize(
    ("name", "best", "mean_true", "mean_told"),
    [
        ("macro", 0.931267, 0.902466, 0.902466),
        ("201-cifar10", 0.8916, 0.759842, 0.688517),
        ("201-cifar100", 0.6118, 0.404039, 0.404596),
        ("201-imagenet16-120", 0.382667, 0.218008, 0.225440),
    ],
)
def test_published_totals(name: str, best: float, mean_true: float, mean_told: float) -> None:
    table = load_table(name)
    assert table.best_value == pytest.approx(best, abs=1e-6)
    assert table.true_values.mean() == pytest.approx(mean_true, abs=1e-6)
    assert table.observations.mean() == pytest.approx(mean_told, abs=1e-6)


def test_every_architecture_has_its_own_row() -> None:
    for name in ("macro", "201-cifar10"):
        table = load_table(name)
        options = [decision.options for decision in table.space.decisions]
        indices = [
            table.index(dict(zip(table.space.names, values, strict=True))) for values in list(product(*options))[::37]
        ]
        assert indices == list(range(table.space.size))[::37]


def test_published_rows_of_macro() -> None:
    table = load_table("macro")
    rng = np.random.default_rng(0)
    answers = {table.query(_macro("02012100"), rng) for _ in range(50)}
    assert answers == {0.8947, 0.8895, 0.8917}
    assert table.true_value(_macro("02012100")) == pytest.approx(0.8919667, abs=1e-7)
    assert table.true_value(_macro("00011110")) == pytest.approx(0.8527666, abs=1e-7)
    assert table.regret(_macro("22212220")) == table.regret(_macro("22212202")) == 0.0


@pytest.mark.parametrize(
    ("name", "code", "told", "true"),
    [
        ("201-cifar10", "421211", 0.63364, 0.6955),
        ("201-cifar100", "421211", 0.3184, 0.3126),
        ("201-imagenet16-120", "421211", 0.184667, 0.17),
        ("201-cifar10", "333123", 0.84892, 0.8903),
        ("201-cifar100", "323133", 0.6126, 0.6118),
        ("201-imagenet16-120", "323133", 0.386667, 0.382667),
    ],
)
def test_published_rows_of_201(name: str, code: str, told: float, true: float) -> None:
    table = load_table(name)
    assert table.query(_cell(code), np.random.default_rng(0)) == pytest.approx(told, abs=5e-7)
    assert table.true_value(_cell(code)) == pytest.approx(true, abs=5e-7)


def test_seeds_of_macro_are_drawn_evenly_and_by_the_generator_alone() -> None:
    table, architecture = load_table("macro"), _macro("02012100")
    before = str(np.random.get_state())  # noqa: NPY002
    first = [table.query(architecture, rng) for rng in [np.random.default_rng(7)] for _ in range(3_000)]
    again = [table.query(architecture, rng) for rng in [np.random.default_rng(7)] for _ in range(3_000)]
    assert first == again
    assert str(np.random.get_state()) == before  # noqa: NPY002
    counts = np.unique(first, return_counts=True)[1]
    assert len(counts) == 3
    assert np.abs(counts - 1_000).max() < 120  # 4.6 standard deviations


def test_missing_decisions_count_as_defaults_and_unknown_ones_are_refused() -> None:
    table = load_table("201-cifar10")
    assert table.true_value({"edge_2_3": "nor_conv_3x3"}) == table.true_value(_cell("111113"))
    with pytest.raises(InvalidArchitectureError, match="edge_9"):
        table.true_value({"edge_9": "none"})


def test_unknown_name() -> None:
    for name in ("201", "cifar10", "201-svhn"):
        with pytest.raises(ValueError, match=f"name='{name}'"):
            load_table(name)


def test_committed_size() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 400_000


@pytest.mark.parametrize(
    ("name", "floor"), [("201-cifar10", 0.13), ("201-cifar100", 0.14), ("201-imagenet16-120", 0.0)]
)
def test_floor_of_201(name: str, floor: float) -> None:
    assert load_table(name).floor == pytest.approx(floor, abs=1e-9)


def test_floor_is_the_mean_over_the_noise() -> None:
    table = _small_table([[0.9, 0.1], [0.5, 0.5], [0.6, 0.4]], [0.5, 0.6, 0.4])
    # The first is chosen in half of the cases, the last in a quarter (0.6 against 0.5), the second in a quarter.
    expected = 0.5 * 10.0 + 0.25 * 20.0 + 0.25 * 0.0
    assert table.floor == pytest.approx(expected, abs=1.0)
    assert load_table("macro").floor == pytest.approx(0.067, abs=0.005)


def test_random_search_regret_equals_all_orders() -> None:
    observed, true = [0.7, 0.9, 0.9, 0.2, 0.5], [0.75, 0.8, 0.6, 0.3, 0.7]
    table = _small_table([[value] for value in observed], true)
    for queries in range(1, 6):
        regrets = [
            # The earliest among equals, as `Strategy.best` chooses.
            100 * (0.8 - true[max(order[:queries], key=lambda index: observed[index])])
            for order in permutations(range(5))
        ]
        assert table.random_search_regret(queries) == pytest.approx(np.mean(regrets), abs=1e-9)


def test_random_search_regret_with_noise_equals_all_draws() -> None:
    observations, true = [[0.9, 0.1], [0.5, 0.55], [0.6, 0.4], [0.3, 0.52]], [0.5, 0.53, 0.51, 0.4]
    table = _small_table(observations, true)
    for queries in range(1, 5):
        regrets = [
            100 * (0.53 - true[max(subset, key=lambda index: drawn[index])])
            for drawn in product(*observations)
            for subset in combinations(range(4), queries)
        ]
        assert table.random_search_regret(queries) == pytest.approx(np.mean(regrets), abs=0.25)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_random_search_queries_is_the_inverse(name: str) -> None:
    table = load_table(name)
    for queries in (1, 30, 100):
        assert table.random_search_queries(table.random_search_regret(queries) + 1e-9) == queries
    between = (table.random_search_regret(60) + table.random_search_regret(61)) / 2
    assert table.random_search_queries(between) == 61
    assert table.random_search_queries(-1.0) is None
