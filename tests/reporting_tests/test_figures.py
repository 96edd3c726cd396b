import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting import (
    FileLayer,
    Predictions,
    SampleImages,
    SearchResults,
    plot_bits,
    plot_calibration,
    plot_class_scores,
    plot_confusion_matrix,
    plot_mistakes,
    plot_network,
    plot_samples,
    plot_stages,
    plot_training,
    plot_trials,
    read_layers,
)
from automl_keras.reporting.figures import short
from automl_keras.reporting.pixels import as_bytes
from automl_keras.training import CurvePoint, TrainingCurve

LAYERS = [
    FileLayer("stem$", "Convolution", "3x3", (-1,), (8, 8, 4), 36, 8),
    FileLayer("wide", "Convolution", "3x3", (0,), (8, 8, 4), 1440, 4),
    FileLayer("add", "Add", "", (0, 1), (8, 8, 4), 0, None),
    FileLayer("logits", "Dense", "", (2,), (3,), 12, 16),
]


def picture(path: Path) -> np.ndarray:
    assert path.read_bytes().startswith(b"\x89PNG")
    return imread(path, format="png")[..., :3]


def has_color(found: np.ndarray, color: str) -> np.ndarray:
    wanted = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return (np.abs(found - wanted) < 0.02).all(axis=-1)


def test_every_figure_can_be_drawn_alone(results: SearchResults, predictions: Predictions, tmp_path: Path) -> None:
    info, layers = results.info, read_layers(results.file)
    samples = SampleImages(predictions.images, predictions.codes)
    answers = predictions.codes, predictions.predicted, info.classes
    drawn: dict[str, Callable[[Path], None]] = {
        "stages": lambda path: plot_stages(results.stages, path),
        "training": lambda path: plot_training(results.curves[-1], path),
        "trials": lambda path: plot_trials(results.evaluations, path),
        "confusion": lambda path: plot_confusion_matrix(*answers, path),
        "scores": lambda path: plot_class_scores(*answers, path),
        "calibration": lambda path: plot_calibration(predictions.codes, predictions.probabilities, path),
        "mistakes": lambda path: plot_mistakes(predictions, info, path, count=5),
        "samples": lambda path: plot_samples(samples, info, path, count=9),
        "bits": lambda path: plot_bits(layers, path),
        "network": lambda path: plot_network(layers, path),
    }
    for name, draw in drawn.items():
        draw(tmp_path / name)
        found = picture(tmp_path / name)
        assert found.shape[1] >= 400 and found.std() > 0.02, name


def test_bars_of_bits_have_their_lengths(tmp_path: Path) -> None:
    plot_bits(LAYERS, tmp_path / "bits.png")
    found = picture(tmp_path / "bits.png")
    four, eight, sixteen = (
        int(has_color(found, color).sum(axis=1).max()) for color in ("#cc79a7", "#0072b2", "#009e73")
    )
    assert four / eight == pytest.approx(1440 * 4 / (36 * 8), rel=0.1)
    assert eight > sixteen  # 36 of 8 bits against 12 of 16


def test_a_bar_of_time_has_the_length_of_its_stage(results: SearchResults, tmp_path: Path) -> None:
    stage = results.stages[0]
    stages = [
        replace(stage, name="a", seconds=1.0, working_seconds=0.0),
        replace(stage, seconds=3.0, working_seconds=3.0),
    ]
    plot_stages(stages, tmp_path / "stages.png")
    found = picture(tmp_path / "stages.png")
    light, dark = (int(has_color(found, color).sum(axis=1).max()) for color in ("#a9cfe8", "#0072b2"))
    assert dark / light == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: plot_stages([], path),
        lambda path: plot_trials([], path),
        lambda path: plot_training(TrainingCurve("odd", (CurvePoint(1, 1.0, 1.0, np.nan, 0.1),)), path),
        lambda path: plot_bits(LAYERS[2:3], path),
        lambda path: plot_network([], path),
        lambda path: plot_samples(SampleImages(np.zeros((0, 8, 8, 1)), np.zeros(0, int)), None, path),
        lambda path: plot_mistakes(
            Predictions(np.zeros((2, 8, 8, 1)), np.zeros(2, int), np.eye(2)[[0, 0]]), None, path
        ),
    ],
)
def test_nothing_to_draw_is_refused_and_leaves_no_file(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    with pytest.raises(InvalidArgumentError, match="Received"):
        draw(tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []


def test_pixels_of_any_range_are_shown() -> None:
    image = np.array([[[-1.0], [0.0], [1.0], [9.0]]])
    assert as_bytes(image, (-1.0, 1.0)).tolist() == [[0, 128, 255, 255]]
    assert as_bytes(np.zeros((2, 3, 4)), (0.0, 0.0)).shape == (2, 3, 3)


def test_long_names_do_not_cover_a_figure(tmp_path: Path) -> None:
    assert short("x" * 24) == "x" * 24 and short("x" * 25) == "x" * 23 + "\u2026"
    assert short("two\n lines") == "two lines" and short(7) == "7"
    codes, names = np.arange(3), ["a" * 400, "b", "c"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where names leave no room
        plot_class_scores(codes, codes, names, tmp_path / "scores")
        plot_confusion_matrix(codes, codes, names, tmp_path / "confusion")
