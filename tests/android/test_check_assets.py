"""The example app: its code, its README and what an export puts into its assets."""

import importlib.util
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.export import export_int8
from automl_keras.export.android import copy_to_assets
from automl_keras.export.rgb_input import with_rgb_input

APP = Path(__file__).resolve().parents[2] / "examples" / "android"
CODE = "app/src/main/java/org/example/classifier/Assets.kt"
ASSETS = "app/src/main/assets"


def check_assets() -> Callable[[Path], list[str]]:
    specification = importlib.util.spec_from_file_location("check_assets", APP / "check_assets.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    problems: Callable[[Path], list[str]] = module.problems
    return problems


problems = check_assets()


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetInfo]:
    """A grey file of three classes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    info = DatasetInfo((6, 6, 1), "uint8", (0.0,), (1.0,), (0.0, 255.0), ("a", "b", "c"), 8, 2)
    images = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 1)).astype(np.uint8)
    path = tmp_path_factory.mktemp("native") / "native.tflite"
    return export_int8(model, path, info, calibration_images=images, seed=0), info


@pytest.fixture
def app(native: tuple[Path, DatasetInfo], tmp_path: Path) -> Path:
    """The app with an export in its assets; may be changed."""
    project = tmp_path / "app"
    own = shutil.ignore_patterns("model.tflite", "labels.txt", "__pycache__", ".gradle", "build")
    shutil.copytree(APP, project, ignore=own)
    path, info = native
    file = tmp_path / "rgb.tflite"
    file.write_bytes(with_rgb_input(path.read_bytes(), info, "uint8"))
    copy_to_assets(file, project)
    return project


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_an_export_fits_the_code(app: Path) -> None:
    assert problems(app) == []


def test_what_does_not_fit_is_said(app: Path, native: tuple[Path, DatasetInfo]) -> None:
    replace_in(app / ASSETS / "labels.txt", "b", "bee")
    replace_in(app / CODE, "DECODED_SIDE = 512", "DECODED_SIDE = 4")
    replace_in(app / "app/build.gradle.kts", 'noCompress += "tflite"', "")
    assert [text.split(" ", 1)[0] for text in problems(app)] == ["model.tflite", "labels.txt", "app/build.gradle.kts"]
    copy_to_assets(native[0], app)
    assert 'takes uint8 of shape (6, 6, 1): export it with input="rgb_uint8"' in problems(app)[0]
    (app / ASSETS / "model.tflite").write_bytes(b"nothing")
    assert "no file of this package" in problems(app)[0]
    (app / ASSETS / "model.tflite").unlink()
    assert len(problems(app)) == 1 and "opens model.tflite" in problems(app)[0]
    replace_in(app / CODE, "const val MODEL_ASSET", "const val MODEL")
    assert problems(app) == ["The Kotlin code has no constant MODEL_ASSET."]


def test_every_version_of_the_app_is_pinned_and_in_its_readme() -> None:
    readme = (APP / "README.md").read_text()
    assert "not built" in readme.splitlines()[0]
    gradle = "".join((APP / name).read_text() for name in ("build.gradle.kts", "app/build.gradle.kts"))
    versions = re.findall(r'implementation\("[^":]+:[^":]+:([^"]+)"\)', gradle) + re.findall(r'version "(.+?)"', gradle)
    assert len(versions) == gradle.count("implementation(") + gradle.count(' version "') == 6
    versions += re.findall(r"minSdk = (\d+)", gradle)
    versions += re.findall(r"gradle-([\d.]+)-bin", (APP / "gradle/wrapper/gradle-wrapper.properties").read_text())
    assert all(re.fullmatch(r"[\d.]+", version) and version in readme for version in versions)


def test_many_labels_leave_room_for_the_button() -> None:
    layout = (APP / "app/src/main/res/layout/activity_main.xml").read_text()
    answer = layout.partition("@+id/answer")[2].partition("/>")[0]
    assert 'android:maxLines="8"' in answer and 'android:ellipsize="end"' in answer
