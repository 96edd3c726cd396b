"""What the tabular benchmark compares: every strategy of the registry, Optuna and Keras-Tuner."""

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tabular_repeats import FreeRepeatsSearcher
from tabular_search import OBJECTIVE, OptunaSearcher, OracleSearcher, Searcher, StrategySearcher

from automl_keras.search_space import SearchSpace
from automl_keras.tuners import STRATEGIES, Strategy

BENCHMARKS = Path(__file__).resolve().parent
# What every search depends on; `fingerprint` adds what a row consists of.
COMMON_SOURCES = (BENCHMARKS / "nas_tables.py", BENCHMARKS / "tabular_search.py")


@dataclass(frozen=True)
class Row:
    """One way to search.

    Attributes:
        make: Makes a searcher from a space and a seed.
        fingerprint: Changes with what is run: the sources, or the version of the package.
        max_seeds: A smaller number of seeds, for what is slow.
        max_queries: A smaller number of queries, for what is slow.
        ours: Whether it is a strategy of this package.
    """

    make: Callable[[SearchSpace, int], Searcher]
    fingerprint: str
    max_seeds: int | None = None
    max_queries: int | None = None
    ours: bool = False


@cache
def all_rows() -> dict[str, Row]:
    """The strategies of the registry with their default settings, then the others."""
    rows = {name: _strategy_row(strategy) for name, strategy in sorted(STRATEGIES.items())}
    return rows | {
        "optuna-tpe": _optuna_row(OptunaSearcher, *COMMON_SOURCES, multivariate=False),
        "optuna-tpe-multivariate": _optuna_row(OptunaSearcher, *COMMON_SOURCES, multivariate=True),
        "optuna-tpe-multivariate-free-repeats": _optuna_row(
            FreeRepeatsSearcher, *COMMON_SOURCES, BENCHMARKS / "tabular_repeats.py", multivariate=True
        ),
        "kt-random": _oracle_row("RandomSearchOracle", max_seeds=10),
        "kt-bayesian": _oracle_row("BayesianOptimizationOracle", max_seeds=3, max_queries=100),
    }


def _strategy_row(strategy: type[Strategy]) -> Row:
    def make(space: SearchSpace, seed: int) -> Searcher:
        return StrategySearcher(strategy(space, OBJECTIVE, seed=seed))

    return Row(make, fingerprint(*COMMON_SOURCES, *_sources(strategy.__module__)), ours=True)


def _optuna_row(searcher: type[OptunaSearcher], *sources: Path, multivariate: bool) -> Row:
    def make(space: SearchSpace, seed: int) -> Searcher:
        return searcher(space, seed, multivariate=multivariate)

    return Row(make, fingerprint(*sources) + "-" + version("optuna"))


def _oracle_row(oracle: str, **settings: int) -> Row:
    def make(space: SearchSpace, seed: int) -> Searcher:
        return OracleSearcher(oracle, space, seed)

    return Row(make, fingerprint(*COMMON_SOURCES) + "-" + version("keras-tuner"), **settings)


def fingerprint(*paths: Path) -> str:
    """A hash of the code in files; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:12]


def _sources(module: str) -> list[Path]:
    """The file of a strategy and those of `automl_keras.tuners` that it imports; oracles take no part in a run."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or not name.startswith("automl_keras.tuners.") or name.endswith("oracle"):
            continue
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found[name] = Path(spec.origin)
        waiting += _imported(found[name])
    return [found[name] for name in sorted(found)]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
