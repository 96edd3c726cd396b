import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import automl_keras

ROOT = Path(__file__).resolve().parent.parent

# Bottom up: a part may import itself and the parts before it.
ORDER = (
    "errors",
    "_startup",
    "arguments",
    "data",
    "search_space",
    "training",
    "supernet",
    "export",
    "evaluation",
    "tuners",
    "quantization",
    "reporting",
    "estimators",
    "testing",
    "cli",
)
ENTRY_POINTS = ("__init__", "__main__")  # of the package itself; they may import every part
# Keras-Tuner has no public names for its chief/worker protocol.
MAY_IMPORT_PRIVATE = {"tuners/chief_worker.py": "keras_tuner.src"}
CODE_FOLDERS = ("automl_keras", "tuners", "tests", "examples", "benchmarks")
PRIVATE_MODULES = ("keras.src", "keras_tuner.src", "tensorflow.python")
MAX_LINES = {"tests": 400}  # tests of one thing stay together, with what they share
DEFAULT_MAX_LINES = 350

PACKAGES = ["automl_keras"] + [
    f"automl_keras.{name}" for name in ORDER if (ROOT / "automl_keras" / name / "__init__.py").exists()
]


def code_files(root: Path) -> Iterator[Path]:
    """Every Python file of the project, those of `tuners/` once."""
    yield from sorted(root.glob("*.py"))
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            if path.relative_to(root).parts[:2] != ("automl_keras", "tuners"):
                yield path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, wherever it does so; relative names keep their dots."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def part_of(path: Path, root: Path) -> str | None:
    """The part of the package a file belongs to, or None outside the package."""
    folders = path.relative_to(root).with_suffix("").parts
    if folders[0] == "tuners":
        return "tuners"
    return folders[1] if folders[0] == "automl_keras" else None


def order_violations(root: Path) -> list[str]:
    found = []
    for path in code_files(root):
        part = part_of(path, root)
        if part is None or part in ENTRY_POINTS:
            continue
        where = path.relative_to(root).as_posix()
        if part not in ORDER:
            found.append(f"{where}: {part} has no place in the order")
            continue
        for line, name in imports(path):
            names = name.split(".")
            if name.startswith(".") or names[0] == "tuners":
                found.append(f"{where}:{line}: {name} is not an absolute, canonical name")
            elif names[0] == "automl_keras":
                target = names[1] if len(names) > 1 else "__init__"
                if target not in ORDER or ORDER.index(target) > ORDER.index(part):
                    found.append(f"{where}:{line}: {part} must not import {name}")
    return found


def private_uses(root: Path) -> list[str]:
    """Imports and dotted uses of what other projects keep private."""
    found = []
    for path in code_files(root):
        where = path.relative_to(root).as_posix()
        for line, name in imports(path):
            private = any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
            if where in MAY_IMPORT_PRIVATE and name.startswith(MAY_IMPORT_PRIVATE[where]):
                continue
            if name.startswith(PRIVATE_MODULES) or (private and not name.startswith("automl_keras.")):
                found.append(f"{where}:{line}: {name}")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in PRIVATE_MODULES:
                found.append(f"{where}:{node.lineno}: {ast.unparse(node)}")
    return found


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_parts_import_only_from_earlier_parts() -> None:
    assert order_violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("automl_keras/data/a.py", "import automl_keras.search_space"),
        ("automl_keras/data/a.py", "from automl_keras.search_space.space import SearchSpace"),
        ("automl_keras/data/a.py", "def f():\n    from automl_keras import tuners"),
        ("automl_keras/data/a.py", "from automl_keras import Budget"),
        ("automl_keras/data/a.py", "import automl_keras"),
        ("automl_keras/data/a.py", "from . import info"),
        ("automl_keras/data/deep/a.py", "from automl_keras import export as e"),
        ("automl_keras/errors.py", "import automl_keras.data"),
        ("automl_keras/misplaced/a.py", ""),
        ("automl_keras/misplaced.py", ""),
        ("automl_keras/quantization/a.py", "from tuners.oracle import StrategyOracle"),
        ("tuners/a.py", "from automl_keras.quantization import bit_space"),
        ("tuners/a.py", "if TYPE_CHECKING:\n    import automl_keras.estimators"),
        ("tuners/a.py", "import tuners.oracle"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, text: str) -> None:
    assert len(order_violations(plant(tmp_path, {file: text}))) == 1


def test_right_imports_are_let_through(tmp_path: Path) -> None:
    files = {
        "automl_keras/__init__.py": "from automl_keras.estimators import ImageClassifier",
        "automl_keras/export/a.py": "import numpy\nfrom automl_keras.export.b import c",
        "automl_keras/quantization/a.py": "from automl_keras import errors, tuners\nfrom automl_keras.data import e",
        "tuners/a.py": "from automl_keras.tuners.oracle import d\nfrom automl_keras.evaluation import Evaluation",
        "examples/a.py": "from automl_keras import Budget\nfrom automl_keras.cli import main",
    }
    assert order_violations(plant(tmp_path, files)) == []


def test_nothing_private_of_other_projects_is_used() -> None:
    assert private_uses(ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "from keras.src import backend",
        "import keras.src.backend as backend",
        "from keras import src",
        "import keras\nkeras.src.backend",
        "from tensorflow.python.framework import ops",
        "import tensorflow\ntensorflow.python.ops.nn",
        "from keras_tuner.src.engine import oracle",
        "from sklearn.utils._tags import get_tags",
        "from sklearn.utils import _safe_indexing",
    ],
)
def test_a_private_use_is_found(tmp_path: Path, text: str) -> None:
    assert len(private_uses(plant(tmp_path, {"benchmarks/a.py": text}))) == 1


def test_files_are_short() -> None:
    lines = {path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in code_files(ROOT)}
    limits = {path: MAX_LINES.get(path.parts[0], DEFAULT_MAX_LINES) for path in lines}
    assert {path.as_posix(): count for path, count in lines.items() if count > limits[path]} == {}


def test_tuners_has_one_import_name() -> None:
    link = ROOT / "automl_keras" / "tuners"
    assert link.is_symlink()
    assert link.readlink() == Path("../tuners")
    spec = importlib.util.find_spec("automl_keras.tuners")
    assert [Path(folder).resolve() for folder in spec.submodule_search_locations] == [ROOT / "tuners"]


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_sorted_and_resolve(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert sorted(set(module.__all__), key=_isort_key) == list(module.__all__)
    for public in module.__all__:
        assert getattr(module, public) is not None


def _isort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the order that `ruff` asks for."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_the_package_lists_its_names_and_refuses_others() -> None:
    assert set(automl_keras.__all__) <= set(dir(automl_keras))
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = automl_keras.Nonsense
