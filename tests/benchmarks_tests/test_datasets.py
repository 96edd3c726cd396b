from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import glyphs
import numpy as np
import photos
import pytest
from corruptions import noisy_labels, with_relatives
from glyphs import CHARACTERS, character_images
from PIL import Image

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def photo_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs: red left of the middle and green right of it, and all blue."""
    for name, left, right in (("one", (255, 0, 0), (0, 255, 0)), ("two", (0, 0, 255), (0, 0, 255))):
        image = Image.new("RGB", (400, 240), right)
        image.paste(left, (0, 0, 230, 240))
        image.save(tmp_path / f"{name}.jpg", quality=95)
    monkeypatch.setattr(photos, "FOLDER", tmp_path)
    monkeypatch.setattr(photos, "NAMES", ("one", "two"))
    return tmp_path


@pytest.fixture
def one_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fonts of Matplotlib in place of Debian's."""
    import matplotlib

    monkeypatch.setattr(glyphs, "FOLDER", Path(matplotlib.get_data_path(), "fonts", "ttf"))
    monkeypatch.setattr(glyphs, "TRAIN_FONTS", {"a": ("DejaVuSans.ttf",)})
    monkeypatch.setattr(glyphs, "TEST_FONTS", {"b": ("DejaVuSerif.ttf",)})


def test_digits_are_split_by_class() -> None:
    data = datasets.digits()
    assert (data.x_train.shape, data.x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    assert not data.may_flip
    assert data.y_test.tolist() == datasets.digits().y_test.tolist()


@pytest.mark.usefixtures("photo_folder")
def test_photos_are_split_by_place() -> None:
    x_train, y_train, x_test, y_test = photos.photo_patches()
    assert (x_train.shape, x_test.shape) == ((2 * 22 * 24, 32, 32, 3), (2 * 16 * 24, 32, 32, 3))
    assert np.bincount(y_train).tolist() == [528, 528]
    assert np.bincount(y_test).tolist() == [384, 384]
    # Left of photograph 0 is red, right of it green; 1 is blue.
    for images, labels, channel in ((x_train, y_train, 0), (x_test, y_test, 1)):
        assert set(images[labels == 0].mean(axis=(1, 2)).argmax(axis=1)) == {channel}
        assert set(images[labels == 1].mean(axis=(1, 2)).argmax(axis=1)) == {2}


@pytest.mark.usefixtures("one_font")
def test_characters_are_the_same_in_every_run() -> None:
    x_train, y_train, x_test, y_test = character_images()
    assert y_train.tolist() == y_test.tolist() == list(range(len(CHARACTERS)))
    assert len(set(CHARACTERS)) == len(CHARACTERS) == 129
    assert x_train.shape == x_test.shape == (129, 28, 28)
    assert x_train.dtype == np.uint8
    assert (character_images()[0] == x_train).all()
    assert (x_train.max(axis=(1, 2)) > 100).all()  # nothing is drawn outside the image


@pytest.mark.parametrize(
    ("load", "package"), [(photos.photo_patches, "mate-backgrounds"), (character_images, "fonts-")]
)
def test_a_missing_package_is_named(
    load: Callable[[], Any], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (photos, glyphs):
        monkeypatch.setattr(module, "FOLDER", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=f"apt-get install {package}"):
        load()


def test_relatives_are_near_their_original() -> None:
    smooth = np.asarray(Image.fromarray(IMAGES[0]).resize((32, 32)))[None]
    images, labels = with_relatives(np.concatenate([smooth, smooth[:, ::-1]]), np.array([3, 5]), copies=4, seed=1)
    assert labels.tolist() == [3] * 4 + [5] * 4
    assert (images[0] == smooth[0]).all()
    distances = np.abs(images[:4].astype(float) - smooth[0]).mean(axis=(1, 2, 3))
    assert (distances[1:] > 0).all()
    assert distances.max() < np.abs(images[4].astype(float) - smooth[0]).mean() / 2
    again, _ = with_relatives(np.concatenate([smooth, smooth[:, ::-1]]), np.array([3, 5]), copies=4, seed=1)
    assert (again == images).all()


def test_noisy_labels_are_drawn_among_all_classes() -> None:
    labels = np.repeat(np.arange(10), 200)
    noisy = noisy_labels(labels, share=0.2, seed=0)
    assert labels.tolist() == np.repeat(np.arange(10), 200).tolist()
    changed = noisy != labels
    assert changed.sum() == pytest.approx(0.2 * 0.9 * 2000, abs=40)  # one in ten is drawn as it was
    assert set(noisy[changed]) == set(range(10))
    assert (noisy_labels(labels, share=0.2, seed=0) == noisy).all()


def test_parts_of_fashion(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.repeat(np.arange(10), 1200)
    x = np.arange(12_000)[:, None, None] * np.ones((1, 2, 2))
    monkeypatch.setattr(datasets, "_fashion", lambda: (x, y, x[::2], y[::2]))
    few, many, noisy = datasets.few_images(), datasets.fashion_10k(), datasets.label_noise()
    assert np.bincount(few.y_train).tolist() == [30] * 10
    assert np.bincount(many.y_train).tolist() == [1000] * 10
    assert (y[few.x_train[:, 0, 0].astype(int)] == few.y_train).all()
    assert len(few.x_test) == len(many.x_test) == 6_000
    assert (noisy.x_train == many.x_train).all()
    assert (noisy.y_test == many.y_test).all()
    assert 0.1 < (noisy.y_train != many.y_train).mean() < 0.25
