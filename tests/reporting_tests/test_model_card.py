import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_keras import Budget, ImageClassifier
from automl_keras.reporting import Predictions, SearchResults, fit_code, write_model_card
from automl_keras.search_space import image_space, macro_space
from tests.reporting_tests.samples import LABELS, X_NEW, Y_NEW


def rows(text: str) -> dict[str, list[str]]:
    """The cells of all tables by the first one, with what was escaped as it was."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| "):
            first, *rest = (re.sub(r"\\(.)", r"\1", cell) for cell in re.split(r"(?<!\\) \| ", line[2:-2]))
            found[first] = rest
    return found


def card(results: SearchResults, tmp_path: Path, predictions: Predictions | None = None) -> str:
    write_model_card(results, tmp_path / "card.md", predictions)
    return (tmp_path / "card.md").read_text("utf-8")


def test_its_numbers_are_those_of_the_fit(results: SearchResults, tmp_path: Path) -> None:
    found = rows(card(results, tmp_path))
    assert float(found["Accuracy of the file"][0]) == pytest.approx(results.report.accuracy, abs=5e-5)
    assert found["File size"][0] == f"{results.report.size_kb:.4g} kB"
    assert int(found["Parameters"][0]) == results.best.cost.params
    assert found["Limit: max_size_kb"] == ["400"]
    assert found["Seed"] == ["3"]
    assert found["Bits of weights"] == ["8"]
    assert found["Networks evaluated"] == [str(len(results.evaluations))]


def test_labels_are_plain_text(results: SearchResults, predictions: Predictions, tmp_path: Path) -> None:
    text = card(results, tmp_path, predictions)
    assert "<script>" not in text
    found = rows(text)
    assert set(LABELS.tolist()) <= set(found)
    support = [int(found[label][-1]) for label in LABELS.tolist()]
    assert support == np.bincount(predictions.codes).tolist()


def test_without_images_there_are_no_single_classes(results: SearchResults, tmp_path: Path) -> None:
    assert "Single classes" not in card(results, tmp_path)


def test_a_refit_is_said(results: SearchResults, tmp_path: Path) -> None:
    assert "has not seen" in card(results, tmp_path)
    refitted = replace(results, report=replace(results.report, refitted=True))
    assert "before it learnt from all images" in card(refitted, tmp_path)


def test_the_code_of_the_card_makes_the_same_classifier(fitted: ImageClassifier, tmp_path: Path) -> None:
    fitted.report(tmp_path / "report.html", X_NEW, Y_NEW)
    text = (tmp_path / "report.md").read_text("utf-8")
    code = text.split("```python\n")[1].split("\n```")[0]
    assert re.search(r"^clf\.fit\(x, y, epochs=1, batch_size=\d+\)$", code, re.MULTILINE)
    names: dict[str, object] = {}
    exec(code.rpartition("\n")[0], names)
    expected = {**fitted.get_params(), "directory": None}  # where the project is: a fit there would repeat nothing
    assert names["clf"].get_params() == expected


def test_the_code_of_a_loaded_project_has_its_space(fitted: ImageClassifier, tmp_path: Path) -> None:
    folder = shutil.copytree(Path(fitted.directory) / fitted.project_name, tmp_path / "project")
    space = image_space((8, 8, 1), 10).restrict({"stage0_kernel": [5]})
    settings = json.loads((folder / "project.json").read_text())
    assert ImageClassifier.load(folder).search_space == "auto"
    (folder / "project.json").write_text(json.dumps({**settings, "space": space.to_dict()}))
    ImageClassifier.load(folder).report(tmp_path / "report.html")
    code = (tmp_path / "report.md").read_text("utf-8").split("```python\n")[1].split("\n```")[0]
    names: dict[str, object] = {}
    exec(code.rpartition("\n")[0], names)
    assert names["clf"].search_space.to_dict() == space.to_dict()


@pytest.mark.parametrize("space", [image_space((8, 8, 1), 3), macro_space((8, 8, 1), 3, num_layers=3)])
def test_the_code_holds_a_space(space: object) -> None:
    code = fit_code("ImageClassifier", {"search_space": space, "budget": Budget(max_macs=5)}, {})
    names: dict[str, object] = {}
    exec(code.rpartition("\n")[0], names)
    made = names["clf"]
    assert type(made.search_space) is type(space) and made.search_space.to_dict() == space.to_dict()
    assert made.budget == Budget(max_macs=5)


def test_a_failed_card_leaves_the_earlier_one(
    results: SearchResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_text(self: Path, text: str, **options: str) -> None:
        self.write_bytes(text.encode()[:100])
        raise OSError("no space left")

    before = card(results, tmp_path)
    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises(OSError, match="no space left"):
        write_model_card(replace(results, seed=4), tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text("utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["card.md"]


def test_code_without_arguments() -> None:
    expected = "from automl_keras import ImageClassifier\n\nclf = ImageClassifier()\nclf.fit(x, y)"
    assert fit_code("ImageClassifier", {}, {}) == expected
