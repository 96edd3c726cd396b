"""How well `training_work` predicts the time of a training step: `python benchmarks/training_speed.py`, 3 minutes."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from datasets import fashion_10k

from automl_keras.data import prepare_data
from automl_keras.search_space import Architecture, ImageSearchSpace, build_network, image_space
from automl_keras.training import Limit, recipe_space, train_network, training_work

SECONDS = 4.0  # of each training
WIDTHS = ((8, 16, 24), (16, 24, 32), (24, 32, 64), (32, 64, 128))


def networks(space: ImageSearchSpace) -> Iterator[tuple[str, Architecture]]:
    """Networks of all operations, resolutions and some widths, but for the slowest."""
    for resolution in space["full_resolution"].options:
        for operation in space["stage0_operation"].options:
            for widths in WIDTHS:
                if operation != "residual" and (resolution == 1 or widths == WIDTHS[-1]):
                    continue
                if resolution == 2 and widths == WIDTHS[-1]:
                    continue
                choices: dict[str, Any] = {"full_resolution": resolution}
                for stage, width in enumerate(widths):
                    choices |= {f"stage{stage}_operation": operation, f"stage{stage}_width": width}
                yield f"| {operation} | {widths} | {resolution} |", space.canonical({**space.default(), **choices})


def main() -> None:
    data = fashion_10k()
    prepared = prepare_data(data.x_train, data.y_train, seed=0)
    space = image_space(prepared.info.image_shape, prepared.info.num_classes)
    recipe = recipe_space().canonical({"flip": True})
    lines, works, times = [], [], []
    for line, architecture in networks(space):
        spec = space.network_spec(architecture)
        model = build_network(spec, prepared.info, seed=0)
        log = train_network(model, prepared.train.images, prepared.train.codes, recipe, Limit(seconds=SECONDS), seed=0)
        lines.append(line)
        works.append(training_work(spec))
        times.append(1e6 / log.images_per_second)
    speed = math.exp(np.mean(np.log(np.array(works) / times)))
    print(
        "| operation | widths | full resolution | M work | us for each image | predicted |\n|---|---|---|---|---|---|"
    )
    for line, work, microseconds in zip(lines, works, times, strict=True):
        print(f"{line} {work / 1e6:.1f} | {microseconds:.0f} | {work / speed:.0f} |")
    errors = np.log(np.array(works) / speed / times)
    print(f"\nError: {np.std(errors):.1%} (standard deviation), at most {np.max(np.abs(errors)):.1%}.")


if __name__ == "__main__":
    main()
