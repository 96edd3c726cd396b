import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from automl_keras import Budget, Evaluation, ImageClassifier
from automl_keras.errors import InvalidArgumentError, InvalidDataError, InvalidTypeError, NotFittedError
from automl_keras.evaluation import Cost
from automl_keras.reporting import Predictions, SampleImages, SearchResults, pareto_front, read_layers, write_report
from automl_keras.training import CurvePoint, TrainingCurve
from tests.reporting_tests.browser import Browser
from tests.reporting_tests.page import Page
from tests.reporting_tests.samples import LABELS, X_NEW, Y_NEW


@pytest.fixture(scope="module")
def page(fitted: ImageClassifier, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("reports") / "report.html"
    fitted.report(path, X_NEW, Y_NEW)
    assert [file.name for file in sorted(path.parent.iterdir())] == ["report.html", "report.md"]
    return Page(path)


def as_json(value: object) -> object:
    return json.loads(json.dumps(value))


def test_its_numbers_are_those_of_the_fit(fitted: ImageClassifier, page: Page) -> None:
    data = page.data
    assert data["best"] == as_json(fitted.best_evaluation_.to_dict())
    assert data["report"] == as_json(fitted.report_.to_dict())
    assert data["plan"] == as_json(fitted.plan_)
    assert data["stages"] == [stage.to_dict() for stage in fitted.stages_]
    assert data["evaluations"][data["exported"]] == data["best"]
    assert sorted(map(str, data["evaluations"])) == sorted(str(as_json(e.to_dict())) for e in fitted.evaluations_)
    assert data["seed"] == 3
    assert data["limits"] == {"max_size_kb": 400}
    for name in ("accuracy", "size_kb", "latency_ms", "ram_kb", "agreement"):
        assert page.values(name) == [getattr(fitted.report_, name)]
    assert data["curves"] == [curve.to_dict() for curve in fitted.training_curves_]
    assert [curve["name"] for curve in data["curves"]] == ["first small model", "final network"]
    ends = [curve.points[-1] for curve in fitted.training_curves_]
    assert page.values("training-steps") == [end.step for end in ends]
    assert page.values("training-loss") == [end.loss for end in ends]
    assert page.values("stage") == [stage.seconds for stage in fitted.stages_]
    assert page.values("bits") == list(fitted.report_.bits.values())
    assert page.values("val_accuracy")[0] == fitted.best_evaluation_.metrics["val_accuracy"]


def test_its_answers_are_those_of_predict(fitted: ImageClassifier, page: Page) -> None:
    answers, accuracy = page.data["answers"], fitted.evaluate(X_NEW, Y_NEW)["accuracy"]
    assert answers["accuracy"] == page.values("answers-accuracy")[0] == pytest.approx(accuracy)
    expected = confusion_matrix(Y_NEW, fitted.predict(X_NEW), labels=fitted.classes_)
    found = np.zeros_like(expected)
    for true, answer, count in answers["confusion"]:
        found[true, answer] = count
    assert np.array_equal(found, expected)
    shown = [int(at["data-value"] or 0) for at, _ in page.find("td") if at.get("class") in ("hit", "miss")]
    assert shown == expected.ravel().tolist()
    scores = precision_recall_fscore_support(Y_NEW, fitted.predict(X_NEW), labels=fitted.classes_, zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), scores, strict=True):
        assert np.allclose(page.values(name), values, equal_nan=True)


def test_the_page_needs_nothing_else_and_can_be_read_aloud(page: Page) -> None:
    links = [at[name] for _, at, _ in page.elements for name in ("src", "href") if name in at]
    assert links and all(link.startswith(("#", "data:")) for link in links)
    identifiers = [at["id"] for _, at, _ in page.elements if "id" in at]
    assert len(set(identifiers)) == len(identifiers)
    assert {link[1:] for link in links if link.startswith("#")} <= set(identifiers)
    assert all(at.get("alt") for at, _ in page.find("img"))
    assert all(at.get("aria-label") for at, _ in page.find("svg"))
    assert all(at.get("scope") in ("row", "col") for at, _ in page.find("th"))
    assert len(page.find("caption")) == len(page.find("table"))
    scrolled = [at for at, _ in page.find("div") if at.get("class") == "scroll"]
    assert all(at.get("tabindex") == "0" and at.get("aria-label") for at in scrolled)  # reached by keys
    assert page.find("html")[0][0]["lang"] == "en"
    assert len(page.find("h1")) == 1


def test_labels_cannot_become_code(page: Page) -> None:
    assert len(page.find("script")) == 2  # the data and the script of the page
    headings = [text for _, text in page.find("th")]
    assert set(LABELS) <= set(headings)
    assert page.data["info"]["classes"] == sorted(LABELS.tolist())


def test_errors_and_warnings_are_text(results: SearchResults, tmp_path: Path) -> None:
    odd = replace(results, report=replace(results.report, warnings=("<i>odd</i>",)))
    write_report(odd, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert any(text == "<i>odd</i>" for _, text in page.find("p"))
    assert any(text == "<b>dead</b> & gone" for _, text in page.find("td"))
    assert not page.find("b") and not page.find("i")


def test_long_names_do_not_cover_each_other(results: SearchResults, predictions: Predictions, tmp_path: Path) -> None:
    names = ("x" * 300, *LABELS.tolist()[1:])
    write_report(replace(results, info=replace(results.info, classes=names)), tmp_path / "report.html", predictions)
    headings = [text for at, text in Page(tmp_path / "report.html").find("th") if set(text) & {"x"} and len(text) > 30]
    assert sorted(map(len, headings)) == [40, 40, *[300] * (len(headings) - 2)] and len(headings) > 2


def test_the_fronts_are_those_of_pareto_front(results: SearchResults, tmp_path: Path) -> None:
    write_report(results, tmp_path / "report.html")
    data = Page(tmp_path / "report.html").data
    searched = [each for each in results.evaluations if each.source == "shared_weights"]
    for cost, places in data["front"]["fronts"].items():
        expected = [each.to_dict() for each in pareto_front(searched, "val_accuracy", cost)]
        assert [data["evaluations"][place] for place in places] == as_json(expected)
    assert data["front"]["source"] == "shared_weights"
    assert {"size_kb", "latency_ms", "macs"} <= set(data["front"]["costs"])


def test_the_baselines_are_named(results: SearchResults, tmp_path: Path) -> None:
    write_report(results, tmp_path / "report.html")
    headings = [text for _, text in Page(tmp_path / "report.html").find("th")]
    for name in ("Exported", "First small model", "Best of the search", "Exported, in the search"):
        assert headings.count(name) == 1


def test_without_images_it_says_what_is_left_out(fitted: ImageClassifier, tmp_path: Path) -> None:
    fitted.report(tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert "answers" not in page.data
    assert not page.find("img")
    assert "Left out: confusion matrix" in page.text("answers")
    assert "report(path, x, y)" in page.text("answers")


def test_images_of_the_search_are_shown_but_not_judged(results: SearchResults, tmp_path: Path) -> None:
    samples = SampleImages(X_NEW[:30, ..., np.newaxis], np.arange(30) % 10)
    write_report(results, tmp_path / "report.html", samples=samples)
    page = Page(tmp_path / "report.html")
    assert len(page.find("img")) == 24
    assert "Left out" in page.text("answers")


def test_what_was_not_fitted_by_itself_has_no_code(results: SearchResults, tmp_path: Path) -> None:
    write_report(replace(results, code="", stages=(), curves=(), plan=None, seed=None), tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert not page.find("pre")
    assert all("not known" in page.text(part) for part in ("repeat", "search", "training"))


def test_the_curves_are_those_of_the_last_final_training(results: SearchResults, tmp_path: Path) -> None:
    def curve(name: str, *losses: float) -> TrainingCurve:
        return TrainingCurve(name, tuple(CurvePoint(i, i / 2, i / 3, loss, i / 10) for i, loss in enumerate(losses, 1)))

    final = curve("final network, candidate 2", 5.0, float("nan"), 3.0, 4.0)
    curves = [curve("final network", 9.0, 8.0), final, curve("refit on all images", 1.0)]
    write_report(replace(results, curves=curves), tmp_path / "report.html")
    [loss, rate] = [
        text
        for at, _ in Page(tmp_path / "report.html").find("svg")
        if "candidate 2" in (text := at["aria-label"] or "")
    ]
    assert loss == "Loss of the final network, candidate 2 over 2.0 epochs: 5 at first, 5 at most, 4 in the end."
    assert rate.endswith("epochs: 0.1 at first, 0.4 at most, 0.4 in the end.")
    write_report(replace(results, curves=[curve("final network", float("inf"))]), tmp_path / "report.html")
    assert "never a number" in Page(tmp_path / "report.html").text("training")


def test_the_largest_report_keeps_to_three_megabytes(results: SearchResults, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    many = [
        Evaluation(results.best.architecture, {"val_accuracy": a}, Cost(1, 2, 3.3, 4.4, 5.5, 6), "shared_weights")
        for a in rng.uniform(0.2, 0.9, 4000).tolist()
    ]
    small = replace(many[0], metrics={"val_accuracy": 0.1}, cost=Cost(size_kb=0.5))  # the last one, but on a front
    everything = [results.best, *many, small]
    info = replace(results.info, image_shape=(224, 224, 3), classes=tuple(range(1000)), pixel_range=(0.0, 255.0))
    codes = np.arange(1000)
    images = np.broadcast_to(rng.integers(0, 256, (1, 224, 224, 3), np.uint8), (1000, 224, 224, 3))
    predictions = Predictions(images, codes, rng.dirichlet(np.ones(1000), 1000))
    points = tuple(CurvePoint(step, *rng.uniform(0.0, 100.0, 4).tolist()) for step in range(200))
    curves = [TrainingCurve(f"round {number}", points) for number in range(12)]
    largest = replace(results, info=info, evaluations=everything, curves=curves)
    write_report(largest, tmp_path / "report.html", predictions)
    assert (tmp_path / "report.html").stat().st_size <= 3_000_000
    page = Page(tmp_path / "report.html")
    assert page.data["num_evaluations"] == 4002
    assert len(page.data["evaluations"]) == 500
    assert page.data["evaluations"][-1] == as_json(small.to_dict())
    assert page.data["front"]["fronts"]["size_kb"][0] == 499
    assert "3502 networks" in page.text("front")


def test_a_failed_report_leaves_no_half_file(results: SearchResults, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_report(replace(results, file=tmp_path / "missing.tflite"), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_project_reports_the_same(fitted: ImageClassifier, page: Page, tmp_path: Path) -> None:
    loaded = ImageClassifier.load(Path(fitted.directory) / fitted.project_name)
    loaded.report(tmp_path / "report.html", X_NEW, Y_NEW)
    assert Page(tmp_path / "report.html").data == page.data


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("report.txt",), InvalidArgumentError, r"`path` must end in .html. Received: path='report.txt'"),
        ((3,), InvalidTypeError, "`path`"),
        (("report.html", None, Y_NEW), InvalidDataError, "`y` must be None if there is no `x`"),
        (("report.html", X_NEW[:, :4], Y_NEW), InvalidDataError, r"images of shape \(8, 8, 1\)"),
        (("report.html", X_NEW), InvalidDataError, "`y` must hold a label"),
    ],
)
def test_refusals(
    fitted: ImageClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, error: type, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=text):
        fitted.report(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_unfitted_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        ImageClassifier(budget=Budget(max_size_kb=1)).report(tmp_path / "report.html")


def point_at(kind: str, event: str = "pointermove") -> str:
    """Code that moves the pointer over, or taps, the last network of a kind and gives what the page says about it."""
    return (
        f"(() => {{const box = [...document.querySelectorAll('#front-chart .{kind}')].pop().getBoundingClientRect();"
        f"document.getElementById('front-chart').dispatchEvent(new PointerEvent('{event}', "
        "{clientX: box.x + box.width / 2, clientY: box.y + box.height / 2}));"
        "return document.getElementById('front-details').textContent})()"
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it_without_complaint(
    results: SearchResults, predictions: Predictions, tmp_path: Path, width: int, dark: bool
) -> None:
    path = tmp_path / "report.html"
    write_report(results, path, predictions)
    with Browser(tmp_path / "browser") as browser:
        browser.open(path, width, dark=dark)
        assert browser.run("document.documentElement.scrollWidth") <= width
        clipped = "e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, pre, .skip-link')"
        assert browser.run(f"[...document.body.querySelectorAll('*')].filter({clipped}).map(e => e.outerHTML)") == []
        assert browser.run("getComputedStyle(document.body).backgroundColor") == (
            "rgb(20, 24, 27)" if dark else "rgb(251, 250, 248)"
        )
        assert (
            browser.run("document.querySelectorAll('#front-chart .point').length") == 42
        )  # the failed one is left out
        assert f"{results.best.metrics['val_accuracy']:.4f} (the exported file)" in browser.run(point_at("exported"))
        assert "(shared weights)" in browser.run(point_at("shared_weights"))
        assert "(the exported file)" in browser.run(point_at("exported", "pointerdown"))
        key = "new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true})"
        before = browser.run("document.getElementById('front-details').textContent")
        browser.run(f"document.querySelector('#front-chart svg').dispatchEvent({key})")
        assert browser.run("document.getElementById('front-details').textContent") != before
        for axis in ("latency_ms", "macs"):
            choose = f"(e => {{e.value = '{axis}'; e.dispatchEvent(new Event('change'))}})"
            browser.run(f"{choose}(document.getElementById('front-x'))")
            assert browser.run("document.querySelectorAll('#front-chart path.front').length") == 1
        assert "Multiply-accumulates" in browser.run("document.querySelector('#front-chart svg').ariaLabel")
        assert browser.console == []


def test_the_drawing_is_that_of_the_file(fitted: ImageClassifier, page: Page) -> None:
    layers = read_layers(fitted.tflite_path_)
    texts = [text for at, text in page.find("text") if at["class"] == "box-title"]
    assert texts == ["Image", *(f"{layer.kind} {layer.window}".rstrip() for layer in layers)]
    assert {layer.name: layer.bits for layer in layers if layer.bits} == fitted.report_.bits
    weights = sum(np.prod(w.shape) for w in fitted.export_model().weights if w.path.endswith("kernel"))
    assert sum(layer.num_weights for layer in layers) == weights == sum(page.values("num_weights"))
    assert layers[-1].kind == "Softmax" and layers[-1].shape == (10,)
