"""What the benchmarks of weight sharing have in common: data, spaces, trainings, and the files that keep results.

Two spaces on Fashion-10k. "operations": 4 stages, each one block of 3 operations, 81 networks. "sizes": 60 random
networks of a part of the image space, in which depths and widths vary too.
"""

import automl_keras  # noqa: F401, I001 - first, so that TensorFlow starts quietly
import csv
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from datasets import Data, digits, fashion_10k, fashion_60k
from shared_spaces import code, open_decisions, operations_space, sizes_space

from automl_keras.data import Dataset, PreparedData, prepare_data, read_labelled
from automl_keras.search_space import OPERATIONS, Architecture, ImageSearchSpace, Option, build_network
from automl_keras.training import BATCH_SIZE, Limit, predict, recipe_space, train_network

DATA_FOLDER = Path(__file__).resolve().parent / "data"
SPACES = ("operations", "sizes")
ALONE_SEEDS = (0, 1)
HELD_OUT_IMAGES = 20_000
ALONE = ("space", "network", "seed", "validation", "held_out", "seconds")


class Material(NamedTuple):
    """Images to train on and to compare subnets on, and images of neither kind on which networks are judged."""

    prepared: PreparedData
    held_out: Dataset


@dataclass(frozen=True)
class Setting:
    """How large everything is.

    Attributes:
        folder: Where the files of results are.
        load: Makes the data.
        spaces: The two spaces by name.
        num_sizes: How many networks of the space "sizes" are taken.
        flip: Whether images may be mirrored.
        epochs: Of a network that is trained alone.
        gradient_evaluations: Of a supernet: gradients of one path on one batch.
        supernet_seeds: Of every training of a supernet.
    """

    folder: Path
    load: Callable[[], Material]
    spaces: Mapping[str, ImageSearchSpace]
    num_sizes: int
    flip: bool
    epochs: int
    gradient_evaluations: int
    supernet_seeds: tuple[int, ...]

    @cached_property
    def material(self) -> Material:
        """The data, made when they are needed."""
        return self.load()

    @property
    def recipe(self) -> Architecture:
        """Muon at its usual rate, random crops, and flips where they do no harm."""
        return recipe_space().canonical({"flip": self.flip})

    @property
    def steps_alone(self) -> int:
        """Steps of a network that is trained alone; each computes one gradient."""
        num_train = self.material.prepared.train.num_examples
        return self.epochs * max(1, num_train // min(BATCH_SIZE, num_train))

    def networks(self, space: str) -> dict[str, Architecture]:
        """All networks of the space "operations", or some random ones of "sizes", by their codes."""
        within = self.spaces[space]
        drawn: dict[Architecture, None] = {}
        if space == "operations":
            names = [decision.name for decision in open_decisions(within)]
            every = itertools.product(*(decision.options for decision in open_decisions(within)))
            drawn = dict.fromkeys(within.canonical(dict(zip(names, chosen, strict=True))) for chosen in every)
        else:
            draws = itertools.count()
            while len(drawn) < self.num_sizes:
                drawn[within.sample(np.random.default_rng((0, next(draws))))] = None
        return {code(within, architecture): architecture for architecture in drawn}


def _fashion() -> Material:
    """Fashion-10k, four fifths to train on; 20,000 of the 50,000 training images that are not in it to judge by."""
    data, everything = fashion_10k(), fashion_60k()
    unused = indices_of_others(everything.x_train, data.x_train)
    chosen = np.sort(np.random.default_rng(HELD_OUT_IMAGES).permutation(unused)[:HELD_OUT_IMAGES])
    return _material(data.x_train, data.y_train, everything.x_train[chosen], everything.y_train[chosen])


def indices_of_others(images: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Which images are none of `part`, nor equal to one of it."""
    used = {image.tobytes() for image in part}
    return np.array([index for index, image in enumerate(images) if image.tobytes() not in used])


def _few_digits() -> Material:
    data: Data = digits()
    return _material(data.x_train[:400], data.y_train[:400], data.x_train[400:600], data.y_train[400:600])


def _material(x: np.ndarray, y: np.ndarray, x_held_out: np.ndarray, y_held_out: np.ndarray) -> Material:
    prepared = prepare_data(x, y, seed=0)
    return Material(prepared, read_labelled(x_held_out, y_held_out, None, prepared.codec, prepared.info.image_shape))


def full_setting(folder: Path = DATA_FOLDER) -> Setting:
    """The sizes of the published results."""
    shape = (28, 28, 1)
    spaces = {
        "operations": operations_space(shape),
        "sizes": sizes_space(shape, [(8, 16), (16, 24, 32), (24, 32, 48)]),
    }
    return Setting(
        folder=folder,
        load=_fashion,
        spaces=spaces,
        num_sizes=60,
        flip=True,
        epochs=20,
        gradient_evaluations=6000,
        supernet_seeds=(0, 1, 2),
    )


def quick_setting(folder: Path) -> Setting:
    """Everything once, in seconds; its numbers mean nothing."""
    shape, one, two = (8, 8, 1), OPERATIONS[:1], OPERATIONS[:2]
    options: dict[str, Sequence[Option]] = {f"stage{stage}_operation": one for stage in range(3)}
    options |= {f"stage{stage}_depth": (1,) for stage in range(3)}
    spaces = {
        "operations": operations_space(shape, widths=(2, 2, 3, 4), operations=(one, one, two, two), full_resolution=2),
        "sizes": sizes_space(shape, [(8,), (8,), (8, 16)]).restrict(options),
    }
    return Setting(
        folder=folder,
        load=_few_digits,
        spaces=spaces,
        num_sizes=2,
        flip=False,
        epochs=1,
        gradient_evaluations=12,
        supernet_seeds=(0,),
    )


class Results:
    """A file of comma-separated values, to which finished lines are added at once.

    Args:
        path: The file.
        columns: Names of the values.
        words: What to say at the top, when the file is begun.
    """

    def __init__(self, path: Path, columns: Sequence[str], words: str) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.words = words

    def lines(self) -> list[dict[str, str]]:
        """All lines, texts by column."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(line for line in file if not line.startswith("#")))

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write lines at the end."""
        is_new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            if is_new:
                file.writelines(f"# {line}\n" for line in self.words.splitlines())
                writer.writeheader()
            writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in lines)


def alone_results(setting: Setting) -> Results:
    """Networks that were trained alone, two seeds each."""
    recipe = ", ".join(f"{name} {value}" for name, value in setting.recipe.items())
    places = "\n".join(
        f"Network of {name}: places of the options of {', '.join(d.name for d in open_decisions(space))}."
        for name, space in setting.spaces.items()
    )
    words = f"""\
Networks trained alone: `python benchmarks/rank_correlation.py --table --missing`. The spaces are in shared_spaces.py.
{places}
Recipe: {setting.epochs} epochs of 8,000 images of Fashion-10k in batches of {BATCH_SIZE}, one cycle; {recipe}.
Accuracies: on the 2,000 validation images of Fashion-10k, and on {HELD_OUT_IMAGES:,} training images of Fashion-MNIST
that are not in Fashion-10k; no test images. Seconds: of making, tracing and training."""
    return Results(setting.folder / "rank81_alone.csv", ALONE, words)


def train_alone(setting: Setting, space: str, network: str, seed: int) -> dict[str, Any]:
    """Train a network by itself; the line of `alone_results`."""
    within, (prepared, held_out) = setting.spaces[space], setting.material
    spec = within.network_spec(setting.networks(space)[network])
    start = time.monotonic()
    model = build_network(spec, prepared.info, seed=seed)
    train = prepared.train
    train_network(model, train.images, train.codes, setting.recipe, Limit(steps=setting.steps_alone), seed=seed)
    seconds = time.monotonic() - start
    validation, judged = accuracy(model, prepared.validation), accuracy(model, held_out)
    keras.utils.clear_session()  # hundreds of networks come in one process
    values = (space, network, seed, validation, judged, seconds)
    return dict(zip(ALONE, values, strict=True))


def accuracy(model: keras.Model, data: Dataset) -> float:
    """Share of the images that a network gets right."""
    return float(np.mean(predict(model, data.images).argmax(axis=1) == data.codes))


Task = tuple[str, Callable[[], None]]


def alone_tasks(setting: Setting) -> list[Task]:
    """The trainings of single networks that are missing; one seed of all networks comes before the other."""
    results = alone_results(setting)
    finished = {(line["space"], line["network"], int(line["seed"])) for line in results.lines()}
    wanted = [(space, network, seed) for seed in ALONE_SEEDS for space in SPACES for network in setting.networks(space)]

    def task(space: str, network: str, seed: int) -> Task:
        return f"{space}-{network}-{seed}", lambda: results.append([train_alone(setting, space, network, seed)])

    return [task(*key) for key in wanted if key not in finished]


def run_tasks(tasks: Iterable[Task], pattern: str) -> None:
    """Do those whose names a shell pattern matches, one after the other."""
    for name, run in tasks:
        if fnmatchcase(name, pattern):
            start = time.monotonic()
            run()
            print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


def write_section(path: Path, name: str, text: str) -> None:
    """Put a text between the two markers of a name in a file, which are appended if it has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = path.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2] if found else "\n"
    path.write_text(f"{before.rstrip()}\n\n{begin}\n{text}\n{end}{after}", "utf-8")
