"""Every Python block of the pages and of the main docstrings runs, in order, in one namespace for each page."""

import contextlib
import inspect
import io
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

import automl_keras
from automl_keras import estimators, evaluation, quantization, search_space, tuners
from tests.docs_tests import prepared
from tests.docs_tests.markdown import PAGES, blocks

# Their fits take minutes together.
SLOW = (
    "README.md",
    "android.md",
    "distributed.md",
    "faq.md",
    "from_autokeras.md",
    "latency.md",
    "own_parts.md",
    "quantization.md",
    "quick_start.md",
    "tasks.md",
    "weight_sharing.md",
)
MAIN_NAMES = (
    estimators.ImageClassifier,
    evaluation.Budget,
    evaluation.Evaluation,
    evaluation.LatencyTable,
    quantization.search_bits,
    search_space.Architecture,
    search_space.Decision,
    search_space.SearchSpace,
    search_space.image_space,
    search_space.macro_space,
    tuners.ENASOracle,
    tuners.EvolutionOracle,
    tuners.HAQOracle,
    tuners.PNASOracle,
    tuners.Project,
)
SLOW_NAMES = (
    estimators.ImageClassifier,
    evaluation.LatencyTable,
    quantization.search_bits,
    tuners.ENASOracle,
    tuners.HAQOracle,
    tuners.PNASOracle,
)


def with_python(pages: list[Path]) -> list[Any]:
    """The pages with Python blocks, the long ones marked as slow."""
    return [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])
        for page in pages
        if any(block.language == "python" for block in blocks(page.read_text("utf-8")))
    ]


def run(text: str, where: str, namespace: dict[str, Any]) -> int:
    """Run the Python blocks of a text; the number of them."""
    python = [block for block in blocks(text) if block.language == "python"]
    for block in python:
        code = "\n" * (block.line - 1) + prepared.shortened(block.code)
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, where, "exec"), namespace)
    return len(python)


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The prepared names, in an empty folder, where fits are short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(automl_keras, "ImageClassifier", prepared.ShortClassifier)
    return {
        "__name__": "page",
        "keras_tuner": keras_tuner,
        "ImageClassifier": prepared.ShortClassifier,
        **prepared.names(),
    }


@pytest.mark.parametrize("page", with_python(PAGES))
def test_the_code_of_a_page_runs(page: Path, namespace: dict[str, Any]) -> None:
    namespace["model"] = prepared.convolutional_model()
    namespace["Budget"] = evaluation.Budget
    assert run(page.read_text("utf-8"), str(page), namespace) > 0


@pytest.mark.parametrize(
    "main_name",
    [pytest.param(n, id=n.__name__, marks=[pytest.mark.slow] if n in SLOW_NAMES else []) for n in MAIN_NAMES],
)
def test_the_example_of_a_docstring_runs(main_name: Any, namespace: dict[str, Any]) -> None:
    main_names = {name.__name__: name for name in MAIN_NAMES if name is not estimators.ImageClassifier}
    namespace |= {"model": prepared.convolutional_model(), "Cost": evaluation.Cost, **main_names}
    assert run(inspect.getdoc(main_name) or "", main_name.__name__, namespace) > 0


def test_every_page_is_read() -> None:
    assert {"README.md", "quick_start.md", "extending.md"} <= {page.name for page in PAGES}
    assert set(SLOW) <= {page.name for page in PAGES}


def test_only_what_needs_a_phone_is_left_out() -> None:
    left_out = [page.name for page in PAGES for block in blocks(page.read_text("utf-8")) if block.language == "py"]
    assert left_out == ["latency.md"]


def test_a_failing_block_is_found() -> None:
    text = "# Title\n\n```python\nvalue = 1\n```\n\n1. Step\n\n   ```python\n   assert value == 2\n   ```\n"
    with pytest.raises(AssertionError):
        run(text, "a page", {})
    assert run(text.replace("== 2", "== 1"), "a page", {}) == 2
    assert [block.line for block in blocks(text)] == [4, 10]
