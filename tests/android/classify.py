"""Loads the files of `make_files.py` with MediaPipe Tasks' ImageClassifier and compares its answers with ours.

    .venv-android/bin/python tests/android/classify.py FOLDER

Needs mediapipe and numpy, nothing of this package. Exits with 1 if a file is refused, says other labels, or agrees
with ours on less than 99 % of 300 images.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

IMAGES = 300
MIN_AGREEMENT = 0.99
VARIANTS = {
    f"{data}_{types}_{pixels}.tflite"
    for data in ("digits", "colours")
    for types in ("float32", "float16", "int8", "mixed")
    for pixels in ("uint8", "float32")
}


def answers(file: Path, images: np.ndarray) -> tuple[np.ndarray, list[str], float]:
    """The best class of each image, the labels in the file by class, and how far sums of scores are from 1 at most."""
    options = ImageClassifierOptions(BaseOptions(model_asset_path=str(file)), max_results=-1)
    best, labels, error = [], {}, 0.0
    with ImageClassifier.create_from_options(options) as classifier:
        for image in images:
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
            categories = classifier.classify(picture).classifications[0].categories
            best.append(max(categories, key=lambda category: category.score).index)
            labels |= {category.index: category.category_name for category in categories}
            error = max(error, abs(sum(category.score for category in categories) - 1.0))
    return np.array(best), [labels[index] for index in sorted(labels)], error


def check(folder: Path, file: str, facts: dict[str, Any]) -> str | None:
    """Print a line about a file; returns what is wrong with it."""
    with np.load(folder / facts["data"]) as data:
        images = data["images"]
    try:
        found, labels, error = answers(folder / file, images)
    except (RuntimeError, ValueError) as refusal:
        return f"{file}: MediaPipe refused it: {refusal}"
    agreement = float(np.mean(found == facts["file_answers"]))
    with_keras = float(np.mean(found == facts["keras_answers"]))
    print(f"{file:32} {agreement:8.2%} {with_keras:8.2%}", flush=True)
    if len(images) != IMAGES:
        return f"{file}: {len(images)} images, not {IMAGES}"
    if labels != facts["labels"]:
        return f"{file}: labels {labels}, not {facts['labels']}"
    if error > 0.01:
        return f"{file}: scores add up to 1 only within {error:.3f}"
    if min(agreement, with_keras) < MIN_AGREEMENT:
        return f"{file}: agrees on {agreement:.2%} with our file and on {with_keras:.2%} with our predict"
    return None


def main(folder: Path) -> int:
    """The exit code."""
    expected = json.loads((folder / "expected.json").read_text())
    print(f"mediapipe {mediapipe.__version__}, agreement on {IMAGES} images with the native file, with Keras")
    wrong = [check(folder, file, facts) for file, facts in sorted(expected.items())]
    wrong += [f"{file}: not made" for file in sorted(VARIANTS - set(expected))]
    problems = [text for text in wrong if text is not None]
    print("\n".join(problems) or f"all {len(expected)} files are loaded and agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
