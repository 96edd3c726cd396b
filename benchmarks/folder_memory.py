"""Peak memory of `fit` on a folder of images, for few and for many of them.

    python benchmarks/folder_memory.py

Writes 5,000 and 50,000 colour PNG files of 64x64 pixels in 10 classes into a temporary folder, fits each for 60 s in a
process of its own and prints the peak resident memory and how long reading took.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = (5_000, 50_000)
CLASSES = 10
SIDE = 64
FIT = """
import json, resource, sys, time
from automl_keras import Budget, ImageClassifier
start = time.monotonic()
clf = ImageClassifier(budget=Budget(max_size_kb=120), time_limit=60, seed=0, verbose=0).fit(sys.argv[1])
print(json.dumps({
    "peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    "seconds": round(time.monotonic() - start, 1),
    "val_accuracy": round(clf.report_.accuracy, 3),
    "shape": clf.export_model().input_shape[1:],
}))
"""


def write_images(folder: Path, count: int) -> None:
    """Noise with a bright square, whose place is the class."""
    rng = np.random.default_rng(0)
    for index in range(count):
        image = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        code = index % CLASSES
        image[16 * (code // 4) : 16 * (code // 4) + 16, 16 * (code % 4) : 16 * (code % 4) + 16] = 255
        path = folder / str(code) / f"{index:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, compress_level=1)


def main() -> None:
    print("| images | peak GB | seconds | val_accuracy | shape |\n|---|---|---|---|---|")
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as name:
            write_images(Path(name), count)
            done = subprocess.run([sys.executable, "-c", FIT, name], capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.strip().splitlines()[-1])
        print(f"| {count} | " + " | ".join(str(value) for value in result.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
