"""`predict` and `evaluate`: what is told is what the library computes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from automl_keras import ImageClassifier
from automl_keras.cli import main
from automl_keras.cli.data import labelled_data
from automl_keras.cli.models import open_model
from automl_keras.export import TFLiteModel
from tests.cli_tests.conftest import Workplace, run


def answer(*words: str) -> dict[str, Any]:
    code, output = run(*words, "--json")
    assert code == 0, output
    return json.loads(output)


def probabilities(facts: dict[str, Any], labels: list[str]) -> np.ndarray:
    return np.array([[row["probabilities"][label] for label in labels] for row in facts["predictions"]])


def test_predictions_are_those_of_the_library(workplace: Workplace) -> None:
    by_file, by_project = (answer("predict", model, "data.npz") for model in ("model.tflite", "projects/photos"))
    expected = TFLiteModel("model.tflite").predict(workplace.x[..., None])
    assert np.array_equal(probabilities(by_file, ["cat", "dog"]), expected)
    classifier = ImageClassifier.load("projects/photos")
    assert np.array_equal(probabilities(by_project, ["cat", "dog"]), classifier.predict_proba(workplace.x))
    assert [row["label"] for row in by_project["predictions"]] == classifier.predict(workplace.x).tolist()
    row = by_file["predictions"][3]
    assert (row["image"], row["probability"]) == ("data.npz[3]", max(row["probabilities"].values()))


def test_image_files_are_named_and_in_order(workplace: Workplace) -> None:
    facts = answer("predict", "model.tflite", "photos/dog/1.png", "photos_to_test/")
    names = [row["image"] for row in facts["predictions"]]
    assert names == ["photos/dog/1.png", *map(str, sorted(Path("photos_to_test").rglob("*.png")))]
    images = np.stack([np.asarray(Image.open(name)) for name in names[1:]])
    assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in workplace.x)
    expected = TFLiteModel("model.tflite").predict(images[..., None])
    assert np.array_equal(probabilities(facts, ["cat", "dog"])[1:], expected)
    code, text = run("predict", "model.tflite", "photos/dog/1.png")
    assert code == 0 and text.splitlines()[0].split() == ["image", "label", "probability"]
    assert text.splitlines()[2].split()[:2] == ["photos/dog/1.png", facts["predictions"][0]["label"]]


def test_pixels_of_files_are_brought_into_the_range_trained_with(workplace: Workplace, tmp_path: Path) -> None:
    x, _ = labelled_data("digits", "test")  # from 0 to 16
    for number, image in enumerate(x[:30]):
        Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8)).save(tmp_path / f"{number:02}.png")
    labels = list("0123456789")
    from_files = probabilities(answer("predict", "digits.tflite", str(tmp_path)), labels)
    facts = answer("predict", "digits.tflite", "digits")
    from_arrays = probabilities(facts, labels)[:30]
    assert np.abs(from_files - from_arrays).max() < 0.1
    answers = [row["label"] for row in facts["predictions"]][:30]
    assert answers == [labels[code] for code in from_arrays.argmax(axis=1)] and len(set(answers)) > 2


@pytest.mark.parametrize("data", ["data.npz", "photos_to_test/"])
def test_evaluations_are_those_of_the_library(data: str, workplace: Workplace) -> None:
    facts = answer("evaluate", "projects/photos", data)
    expected = ImageClassifier.load("projects/photos").evaluate(workplace.x, workplace.y)
    assert (facts["accuracy"], facts["loss"]) == pytest.approx((expected["accuracy"], expected["loss"]), rel=1e-5)
    by_file = answer("evaluate", "model.tflite", data)
    codes = TFLiteModel("model.tflite").predict(workplace.x[..., None]).argmax(axis=1)
    hits = np.array(["cat", "dog"])[codes] == workplace.y
    assert (by_file["kind"], by_file["images"], by_file["accuracy"]) == ("tflite", 40, hits.mean())
    assert by_file["classes"] == [
        {
            "label": label,
            "images": int(np.sum(workplace.y == label)),
            "accuracy": pytest.approx(hits[workplace.y == label].mean()),
        }
        for label in ("cat", "dog")
    ]


def test_a_page_is_written_about_a_project(workplace: Workplace, tmp_path: Path) -> None:
    facts = answer("report", "projects/photos", "--data", "data.npz", "--out", str(tmp_path / "page.html"))
    assert facts == {"page": str(tmp_path / "page.html"), "model_card": str(tmp_path / "page.md")}
    assert "Confusion" in (tmp_path / "page.html").read_text("utf-8")
    assert (tmp_path / "page.md").is_file()


def test_labels_of_numbers_and_one_hot_rows_are_known(workplace: Workplace, tmp_path: Path) -> None:
    x, y = labelled_data("digits", "test")
    np.savez(tmp_path / "numbers.npz", x=x, y=y)
    np.savez(tmp_path / "rows.npz", x=x, y=np.eye(10)[y])
    accuracies = [
        answer("evaluate", "digits.tflite", str(data))["accuracy"]
        for data in ("digits", tmp_path / "numbers.npz", tmp_path / "rows.npz")
    ]
    assert accuracies == accuracies[:1] * 3
    right = open_model("digits.tflite").predict(x[..., None]).argmax(axis=1) == y
    assert accuracies[0] == right.mean() > 0.2  # labels are not mixed up


def test_many_images_are_answered_block_by_block(workplace: Workplace) -> None:
    model = open_model("model.tflite")
    images = np.random.default_rng(0).integers(0, 256, (2300, 8, 8, 1), dtype=np.uint8)
    blocks = list(model.probabilities(images, from_files=False))
    assert [len(block) for block in blocks] == [1000, 1000, 300]
    assert np.array_equal(np.concatenate(blocks), model.predict(images))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("predict nothing.tflite photos", "The model must be a .tflite file. Received: 'nothing.tflite'"),
        ("predict photos photos", "A saved classifier must have the file classifier.json. Received: photos"),
        ("predict data.npz photos", "A .tflite file must begin with b'TFL3'"),
        ("predict model.tflite nothing.png", "`IMAGES` must be a PNG, JPEG or BMP file or a folder with some."),
        ("evaluate model.tflite photos/dog", "`x` must be a folder with one sub-folder"),
        ("evaluate model.tflite digits", "`y` must only have labels of the 2 classes trained with"),
    ],
)
def test_refusals(words: str, reason: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 1
    assert reason in capsys.readouterr().err
