"""A table of measured rewards: every bit policy of a small network, each as a real file on 2,000 images.

    python benchmarks/haq_table.py      # trains the network, makes and runs 3,888 files, writes data/haq_fashion.npz

Three depthwise-separable blocks and two dense layers, trained for 3,000 steps on Fashion-10k. No file is fine-tuned:
the accuracies are those right after quantization, with int8 activations. The images are the first 2,000 of the test
set, of which the training knows nothing. `load_table` reads what was written.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keras
import numpy as np
from datasets import fashion_10k

from automl_keras.data import DatasetInfo, prepare_data
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.quantization.bit_space import BitSpace
from automl_keras.quantization.evaluators import FileEvaluator
from automl_keras.quantization.policy_files import PolicyFiles
from automl_keras.search_space import Architecture, Option
from automl_keras.training import Limit, recipe_space, train_network

FILE = Path(__file__).resolve().parent / "data" / "haq_fashion.npz"
IMAGES, STEPS = 2_000, 3_000
BITS = {"CONV_2D": (4, 8), "DEPTHWISE_CONV_2D": (4, 8), "FULLY_CONNECTED": (2, 4, 8)}
PROFILE = "litert>=2.1.6"  # the first to run 2 bits


@dataclass(frozen=True, eq=False)
class PolicyTable:
    """Every policy of a space with what was measured of its file; an evaluator that takes no time.

    Attributes:
        space: The policies; all layers are decisions.
        correct: Images classified correctly, of `IMAGES`, by policy; policies are ordered as the numbers that their
            option indices spell, the first layer leading.
        loss: Mean cross-entropy, by policy.
        size: Bytes of the file, by policy.
    """

    space: BitSpace
    correct: np.ndarray
    loss: np.ndarray
    size: np.ndarray

    @property
    def accuracies(self) -> np.ndarray:
        """The share of images classified correctly, by policy."""
        return self.correct / IMAGES

    def index(self, policy: Mapping[str, Option]) -> int:
        """The row of a policy."""
        shape = [len(decision.options) for decision in self.space.decisions]
        return int(np.ravel_multi_index(tuple(self.space.encode(policy)), shape))

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """What was measured of the file of a policy."""
        row = self.index(architecture)
        metrics = {"val_accuracy": float(self.correct[row]) / IMAGES, "val_loss": float(self.loss[row])}
        return Evaluation(architecture, metrics, Cost(size_kb=self.size_of(architecture) / 1000), "file")

    def size_of(self, policy: Mapping[str, Option]) -> float:
        """Bytes of the file of a policy."""
        return float(self.size[self.index(policy)])


@cache
def load_table() -> PolicyTable:
    """The stored table."""
    with np.load(FILE) as arrays:
        space = BitSpace.from_dict(json.loads(str(arrays["space"])))
        return PolicyTable(space, arrays["correct"], arrays["loss"], arrays["size"])


def small_network(info: DatasetInfo) -> keras.Model:
    """13,000 weights, of which most are in 1x1 convolutions and dense layers."""
    layers = keras.layers
    inputs = keras.Input(info.image_shape, name="image")
    x = layers.Rescaling(1 / info.pixel_std[0], -info.pixel_mean[0] / info.pixel_std[0], name="normalize")(inputs)

    def finished(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))

    x = finished(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x), "stem")
    for block, (width, stride) in enumerate(((32, 1), (48, 2), (64, 1))):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"depthwise{block}")(x)
        x = finished(x, f"depthwise{block}")
        x = finished(layers.Conv2D(width, 1, use_bias=False, name=f"pointwise{block}")(x), f"pointwise{block}")
    x = layers.Dense(96, activation="relu", name="hidden")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(inputs, layers.Dense(info.num_classes, name="logits")(x))


def measure(files: PolicyFiles, images: np.ndarray, codes: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """Correct images, loss and bytes of the first `count` policies."""
    shape = [len(decision.options) for decision in files.space.decisions]
    rows, start = [], time.monotonic()
    with FileEvaluator(files, images, codes) as evaluator:
        for row in range(count):
            choices = zip(files.space.decisions, np.unravel_index(row, shape), strict=True)
            found = evaluator.evaluate(Architecture({decision.name: decision.options[i] for decision, i in choices}))
            if found.error is not None or found.cost.size_kb is None:
                raise RuntimeError(f"Policy {found.architecture} failed: {found.error}")
            metrics = found.metrics
            rows.append(
                (round(metrics["val_accuracy"] * IMAGES), metrics["val_loss"], round(found.cost.size_kb * 1000))
            )
            if row % 100 == 99:
                print(f"{row + 1} of {count} policies, {time.monotonic() - start:.0f} s", flush=True)
    types = (np.uint16, np.float32, np.uint32)
    return tuple(np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, help="only as many, and do not write them")
    options = parser.parse_args()
    data = fashion_10k()
    prepared = prepare_data(data.x_train, data.y_train, seed=0)
    images, codes = data.x_test[:IMAGES, ..., None], data.y_test[:IMAGES]
    model = small_network(prepared.info)
    steps = STEPS if options.policies is None else 300
    train, recipe = prepared.train, recipe_space().canonical({"flip": True})
    train_network(model, train.images, train.codes, recipe, Limit(steps=steps), seed=0)
    print(f"float accuracy {np.mean(np.argmax(model.predict(images, verbose=0), axis=1) == codes):.4f}", flush=True)
    files = PolicyFiles(model, prepared.info, train.images, profile=PROFILE, seed=0, bits=BITS)
    count = math.prod(len(decision.options) for decision in files.space.decisions)
    correct, loss, size = measure(files, images, codes, options.policies or count)
    print(f"accuracy {correct.min() / IMAGES:.4f} to {correct.max() / IMAGES:.4f}, bytes {size.min()} to {size.max()}")
    if options.policies is None:
        space = json.dumps(files.space.to_dict())
        np.savez_compressed(FILE, space=space, correct=correct, loss=loss, size=size)


if __name__ == "__main__":
    main()
