import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_keras import Budget, ImageClassifier
from automl_keras.data import DatasetInfo
from automl_keras.estimators import fitting
from automl_keras.estimators.default_network import feasibility
from automl_keras.estimators.plan import Means, affordable_default
from automl_keras.estimators.settings import usual_batch_size
from automl_keras.evaluation import CostPredictor
from automl_keras.search_space import image_space
from automl_keras.training import training_work
from automl_keras.tuners import SYSTEMS

SHAPE = (224, 224, 3)
INFO = DatasetInfo(SHAPE, "uint8", (100.0,) * 3, (50.0,) * 3, (0.0, 255.0), tuple(range(5)), 240, 60)
MEANS = Means(
    seconds_left=60.0,
    work_per_second=2e10,
    setup_per_layer=0.0,
    num_train=240,
    num_validation=60,
    steps_per_epoch=7,
    max_trials=None,
    epochs=None,
    system=SYSTEMS["evolution"],
)


def stripes(count: int, shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy colour images of stripes; the class is their direction and distance."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    images = []
    for label in labels:
        angle, length = math.pi * label / 5 + rng.normal(0, 0.05), 12 + 6 * (label % 2)
        wave = np.sin(2 * math.pi * (np.cos(angle) * rows + np.sin(angle) * columns) / length + rng.uniform(0, 6))
        tint = rng.uniform(0.5, 1.0, 3)
        images.append(127 + 60 * wave[..., None] * tint + rng.normal(0, 30, shape))
    return np.clip(np.stack(images), 0, 255).astype(np.uint8), labels


def test_a_minute_trains_a_network_for_224_pixels_often_enough() -> None:
    space = image_space(SHAPE, 5)
    predict_cost = CostPredictor(space, INFO)
    network, epochs = affordable_default(predict_cost, feasibility(predict_cost, Budget(max_size_kb=200)), MEANS)
    assert network["full_resolution"] == 0  # the stem halves the resolution
    assert epochs >= 16
    assert training_work(space.network_spec(network)) * 240 * epochs == pytest.approx(56 * 2e10)


@pytest.mark.parametrize(
    ("count", "side", "expected"), [(1024, 112, 128), (1024, 224, 32), (300, 224, 32), (300, 8, 32)]
)
def test_steps_take_fewer_large_images(count, side, expected) -> None:
    assert usual_batch_size(replace(INFO, num_train=count, image_shape=(side, side, 3))) == expected


def test_a_fit_takes_fewer_large_images_in_a_step(stand_ins, monkeypatch) -> None:
    sizes = []
    train = fitting.train_network

    def train_network(*arguments, **settings):
        sizes.append(settings["batch_size"])
        return train(*arguments, **settings)

    monkeypatch.setattr(fitting, "train_network", train_network)
    x, y = stripes(20, (300, 300, 1), seed=0)
    for given in (None, 48):
        ImageClassifier(max_trials=1, seed=0, verbose=0).fit(x, y, epochs=1, batch_size=given)
    assert set(sizes) == {17, 48}


@pytest.mark.slow
def test_images_of_224_pixels_in_a_folder_become_a_file(tmp_path: Path) -> None:
    x, y = stripes(300, SHAPE, seed=0)
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        (tmp_path / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / str(label) / f"{number}.png")
    clf = ImageClassifier(budget=Budget(max_size_kb=200), time_limit=90, seed=0, verbose=0)
    clf.fit(tmp_path / "photos", image_size=224)
    assert clf.export_model().input_shape == (None, *SHAPE)
    assert clf.report_.size_kb <= 200
    x_test, y_test = stripes(50, SHAPE, seed=1)
    assert clf.score(x_test, y_test.astype(str)) > 0.5
