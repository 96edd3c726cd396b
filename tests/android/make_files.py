"""Makes the files that `classify.py` loads with MediaPipe: two small networks in all types of numbers.

    python tests/android/make_files.py FOLDER

Grey digits come as uint8, coloured ones as floats from 0 to 1. Each file stands beside `<data>.npz`: 300 images with
channels from 0 to 255, and what we answer to them.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

from automl_keras.data import DatasetInfo
from automl_keras.export import TFLiteModel, export_float, export_int8
from automl_keras.export.exporter import draw_images, write_file
from automl_keras.export.rgb_input import PixelType, to_rgb, with_rgb_input
from automl_keras.quantization import MixedPrecision
from automl_keras.search_space import build_network, image_space
from automl_keras.training import Limit, predict, recipe_space, train_network

TESTED = 300
STEPS = 500
PIXELS: tuple[PixelType, ...] = ("uint8", "float32")
COLOURS = ((1.0, 0.2, 0.1), (0.1, 0.9, 0.3), (0.2, 0.4, 1.0))
BITS = {"CONV_2D": (4, 8), "DEPTHWISE_CONV_2D": (8,), "FULLY_CONNECTED": (4, 8)}


def grey_digits() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """8x8 digits as uint8, and their classes."""
    digits = load_digits()
    images = np.rint(digits.images / 16 * 255).astype(np.uint8)[..., None]
    return images, digits.target.astype(np.int32), tuple(f"digit {code}" for code in range(10))


def coloured_digits() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Digits 0 to 3 in three colours on a dark ground, 12x12 floats from 0 to 1; a class is a digit in a colour."""
    digits = load_digits(n_class=4)
    rng = np.random.default_rng(0)
    hues = rng.integers(0, 3, len(digits.images))
    images = np.full((len(hues), 12, 12, 3), 0.1)
    corners = rng.integers(0, 5, (len(hues), 2))
    for image, digit, hue, (row, column) in zip(images, digits.images, hues, corners, strict=True):
        image[row : row + 8, column : column + 8] += 0.9 * digit[..., None] / 16 * np.array(COLOURS[hue])
    names = tuple(f"{colour} {digit}" for digit in range(4) for colour in ("red", "green", "blue"))
    images = np.rint(images.clip(0, 1) * 255) / 255  # whole pixels: what an app can see
    return images.astype(np.float32), (digits.target * 3 + hues).astype(np.int32), names


def info_of(images: np.ndarray, classes: tuple[str, ...]) -> DatasetInfo:
    """Facts about images with pixels as an app would have them."""
    return DatasetInfo(
        image_shape=images.shape[1:],
        input_dtype="uint8" if images.dtype == np.uint8 else "float32",
        pixel_mean=tuple(map(float, images.mean(axis=(0, 1, 2)))),
        pixel_std=tuple(map(float, images.std(axis=(0, 1, 2)))),
        pixel_range=(float(images.min()), float(images.max())),
        classes=classes,
        num_train=len(images) - TESTED,
        num_validation=TESTED,
    )


def trained(images: np.ndarray, codes: np.ndarray, info: DatasetInfo) -> keras.Model:
    """A small network with common and depthwise convolutions."""
    space = image_space(info.image_shape, info.num_classes)
    sizes = {"stage0_width": 8, "stage1_width": 16, "stage2_width": 32, "stage1_operation": "mbconv", "stage2_depth": 1}
    model = build_network(space.network_spec(space.canonical(sizes)), info, seed=0)
    train_network(model, images, codes, recipe_space().default(), Limit(steps=STEPS), batch_size=64, seed=0)
    return model


def native_files(
    model: keras.Model, info: DatasetInfo, images: np.ndarray, codes: np.ndarray, folder: Path
) -> Iterator[tuple[str, bytes, keras.Model]]:
    """The network in all types of numbers, each file with its Keras model.

    In the mixed one every second layer that can have them has 4 bits, and weights are tuned for that.
    """
    path = folder / "native.tflite"
    yield "int8", export_int8(model, path, info, calibration_images=images, seed=0).read_bytes(), model
    for weights in ("float16", "float32"):
        file = export_float(model, path, info, weights=weights, calibration_images=images, seed=0)
        yield weights, file.read_bytes(), model
    network = MixedPrecision(model, info, images, bits=BITS, seed=0)
    space = network.files.space
    policy = space.canonical(
        {d.name: max(d.options) if n % 2 else min(d.options) for n, d in enumerate(space.decisions)}
    )
    tuned = network.fine_tuned(policy, images, codes, Limit(steps=STEPS // 5))
    file = write_file(tuned.files.export(policy), path, info, draw_images(images, 0))
    yield "mixed", file.read_bytes(), tuned.model
    path.unlink()


def main(folder: Path) -> None:
    """Write files, images and answers into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (images, codes, classes) in {"digits": grey_digits(), "colours": coloured_digits()}.items():
        info = info_of(images, classes)
        train, tested = images[:-TESTED], images[-TESTED:]
        model = trained(train, codes[:-TESTED], info)
        np.savez(folder / f"{name}.npz", images=to_rgb(tested, info, "uint8"), codes=codes[-TESTED:])
        for types, data, network in native_files(model, info, train, codes[:-TESTED], folder):
            keras_answers = predict(network, tested).argmax(axis=1)
            answers = TFLiteModel(data).predict(tested).argmax(axis=1)
            print(f"{name} {types}: {np.mean(answers == codes[-TESTED:]):.1%} right, {len(data)} bytes", flush=True)
            for pixels in PIXELS:
                file = f"{name}_{types}_{pixels}.tflite"
                (folder / file).write_bytes(with_rgb_input(data, info, pixels))
                expected[file] = {
                    "data": f"{name}.npz",
                    "labels": list(classes),
                    "file_answers": answers.tolist(),
                    "keras_answers": keras_answers.tolist(),
                }
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
