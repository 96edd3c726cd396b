"""Bits chosen layer by layer, beside the same bits everywhere and beside tensorflow-model-optimization.

    python benchmarks/mixed_precision.py M-int8             one row
    python benchmarks/mixed_precision.py --missing --seeds 0
    python benchmarks/mixed_precision.py --list             the names of the rows
    python benchmarks/mixed_precision.py --plot             docs/mixed_precision.png

Two networks are trained once, on 58,000 Fashion images, and kept in benchmarks/.cache: M of MBConv blocks, of whose
weights 93 % are in 1x1 convolutions, and R of residual 3x3 convolutions. Rows are named network-method, with the share
of the int8 file's size that is allowed. "tuned" trains the weights on for 700 steps with the float network as teacher;
tensorflow-model-optimization trains for an epoch. Searches judge policies on 2,000 further images; all accuracies are
those of the files on the 10,000 test images. A difference has its standard error over the images, paired. Debian's
package dataset-fashion-mnist is needed.
"""

import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from command_line import Lines, main
from datasets import fashion_60k
from results_table import BENCHMARKS, RESULTS, ResultsTable

import automl_keras  # noqa: F401 - before TensorFlow, so that it starts quietly

PAIRS = 15
CACHE = BENCHMARKS / ".cache" / "mixed_precision"
PICTURE = BENCHMARKS.parent / "docs" / "mixed_precision.png"
COLUMNS = (
    "row",
    "seed",
    "accuracy",
    "against int8, points",
    "against uniform 4 tuned",
    "kB",
    "of int8",
    "zip kB",
    "latency ms",
    "latency of int8",
    "bits",
    "search s",
    "date",
    "commit",
)
INTRODUCTION = f"""\
## Bits chosen layer by layer

`python benchmarks/mixed_precision.py --missing --seeds 0`: two networks trained once on 58,000 Fashion images, M of
MBConv blocks (92 % of the weights in 1x1 convolutions) and R of residual 3x3 convolutions; accuracies of the files on
the 10,000 test images, differences with their standard error, paired over the images. `-75`, `-65`, `-50`: at most so
many percent of the size of the int8 file; bits are 4 or 8, below 65 % and for `-uniform4` (the size of the file with 4
bits everywhere) also 2 in 1x1 convolutions and dense layers. `tuned`: 700 more steps with the float network as teacher.
`fast`: with a limit of 1.15 times the latency of the int8 file as well. `latency of int8`: the median of the ratios of
{PAIRS} measurements in turn.
"""
TABLE = ResultsTable(RESULTS, COLUMNS, before=INTRODUCTION)
NETWORKS = {
    "M": {
        **{"operation": "mbconv", "stage1_expansion": 4, "stage2_expansion": 4},
        **{"stage0_width": 16, "stage1_width": 40, "stage2_width": 96, "stage2_depth": 3},
    },
    "R": {"operation": "residual", "stage0_width": 24, "stage1_width": 48, "stage2_width": 80, "stage2_depth": 2},
}
TRAINING_STEPS, TUNING_STEPS = 4_500, 700
JUDGES = 2_000
# For M the default widths, as fast as 8 bits; R has little else than 3x3 convolutions.
BITS = {"M": None, "R": {"CONV_2D": (4, 8), "FULLY_CONNECTED": (4, 8)}}
# What LiteRT 2.1.6 runs besides: two bits in 1x1 convolutions and dense layers. For what 4 bits do not reach.
MORE_BITS = {"CONV_2D": (4, 8), "FULLY_CONNECTED": (2, 4, 8)}
ALL_BITS = {"CONV_2D": (4, 8), "DEPTHWISE_CONV_2D": (4, 8), "FULLY_CONNECTED": (4, 8)}
CLUSTERS = 16
FAST = 1.15  # times the latency of the int8 file
SHARES = (75, 65, 50)
METHODS = (
    *("float32", "float16", "int8", "int8_tuned", "uniform4", "uniform4_tuned", "tfmot_int8", "tfmot_clusters"),
    *(f"{search}-{share}" for search in ("ilp", "evolution", "ddpg", "random", "ilp_tuned") for share in SHARES),
    *("ilp_tuned-uniform4", "ilp_fast-65", "ilp_fast_tuned-65"),
)
# With 4 bits everywhere R has 53 % of its int8 size, and 3x3 convolutions run with no fewer; with 4 bits they take more
# than twice the time.
ROWS = [
    f"{network}-{method}"
    for network in NETWORKS
    for method in METHODS
    if network == "M" or not (method.endswith("-50") or "fast" in method)
]


class Reference:
    """A trained network with its images.

    Args:
        name: "M" or "R".
    """

    def __init__(self, name: str) -> None:
        from automl_keras.data import prepare_data
        from automl_keras.search_space import build_network, image_space

        data = fashion_60k()
        validation = (data.x_train[:JUDGES], data.y_train[:JUDGES])
        self.data = prepare_data(data.x_train[JUDGES:], data.y_train[JUDGES:], validation, None, seed=0)
        self.info = self.data.info
        self.test_images = data.x_test[..., None]
        self.test_codes = self.data.codec.encode(data.y_test)
        space = image_space(self.info.image_shape, self.info.num_classes)
        sizes = dict(NETWORKS[name])
        operation = sizes.pop("operation")
        stages = {f"stage{stage}_operation": operation for stage in range(3)}
        architecture = space.canonical({**stages, "full_resolution": 0, "stage0_depth": 1, **sizes})
        self.model = build_network(space.network_spec(architecture), self.info, seed=0)
        self._train(CACHE / f"{name}.weights.h5")

    def _train(self, weights: Path) -> None:
        from automl_keras.training import Limit, recipe_space, train_network

        if not weights.exists():
            recipe = recipe_space().canonical({"flip": True})
            train = self.data.train
            train_network(self.model, train.images, train.codes, recipe, Limit(steps=TRAINING_STEPS), seed=0)
            weights.parent.mkdir(parents=True, exist_ok=True)
            self.model.save_weights(weights)
        self.model.load_weights(weights)

    def right(self, file: bytes) -> np.ndarray:
        """Which test images a file gets right."""
        from automl_keras.export import TFLiteModel

        return TFLiteModel(file).predict(self.test_images).argmax(axis=1) == self.test_codes


@cache
def reference(name: str) -> Reference:
    return Reference(name)


def run(row: str, seed: int) -> Lines:
    """Make the file of a row, and measure it."""
    from automl_keras.export import median_latency
    from automl_keras.export.flatbuffer import read
    from automl_keras.export.inspection import weight_bits
    from automl_keras.quantization.tfmot import zip_size_kb

    name, _, method = row.partition("-")
    network = reference(name)
    data, seconds = make_file(network, name, method, seed)
    right = network.right(data)
    answers = _answers(name, seed)
    answers[method] = {"right": np.packbits(right).tolist(), "kB": len(data) / 1000}
    (CACHE / f"{name}_{seed}.json").write_text(json.dumps(answers))
    result: dict[str, Any] = {
        "accuracy": float(right.mean()),
        "against int8, points": _difference(right, answers.get("int8")),
        "against uniform 4 tuned": _difference(right, answers.get("uniform4_tuned")),
        "kB": len(data) / 1000,
        "of int8": len(data) / 1000 / answers["int8"]["kB"] if "int8" in answers else None,
        "zip kB": zip_size_kb(data),
        "latency ms": median_latency(data),
        "latency of int8": _latency_ratio(data, _int8_file(network, name, seed)),
        "bits": "/".join(str(bits) for bits in sorted(set(weight_bits(read(data)).values()))),
        "search s": seconds,
    }
    return {row: result}


def make_file(network: Reference, name: str, method: str, seed: int) -> tuple[bytes, float | None]:
    """The file of a method, and how long the search for its bits took."""
    from automl_keras.quantization import fold_batch_norm, tfmot

    train = network.data.train
    if method in ("float32", "float16"):
        return _float_file(network, network.model, method), None
    if method == "tfmot_int8":
        return tfmot.quantization_aware_training(
            network.model, train.images, train.codes, network.info, seed=seed
        ), None
    if method == "tfmot_clusters":
        folded = fold_batch_norm(network.model)
        clustered = tfmot.cluster_weights(folded, CLUSTERS, train.images, train.codes, seed=seed)
        return _float_file(network, clustered, "float32"), None
    kind, _, share = method.partition("-")
    kind, *changes = kind.split("_")
    policy, seconds, bits = None, None, ALL_BITS if kind == "uniform4" else BITS[name]
    profile = "litert>=1.4"
    if share in ("uniform4", "50"):
        bits, profile = MORE_BITS, "litert>=2.1.6"
    mixed = _mixed(network, network.model, bits, seed, profile)
    if kind == "int8":
        policy = mixed.widest
    elif kind == "uniform4":
        policy = {decision.name: min(decision.options) for decision in mixed.files.space.decisions}
    else:
        answers = _answers(name, seed)
        limit = answers["uniform4"]["kB"] if share == "uniform4" else answers["int8"]["kB"] * int(share) / 100
        fast = _int8_file(network, name, seed) if "fast" in changes else None
        policy, seconds = _search(network, mixed, kind, limit, fast)
    if "tuned" not in changes:
        return mixed.files.export(policy), seconds
    return _tuned(mixed, policy, train).files.export(policy), seconds


def _int8_file(network: Reference, name: str, seed: int) -> bytes:
    """The file that latencies are compared with, made once."""
    path = CACHE / f"{name}_{seed}.tflite"
    if not path.exists():
        mixed = _mixed(network, network.model, BITS[name], seed)
        path.write_bytes(mixed.files.export(mixed.widest))
    return path.read_bytes()


def _latency_ratio(data: bytes, other: bytes) -> float:
    """The time that one file takes to that of another, measured in turn, as the speed of a machine varies."""
    from automl_keras.export import measure_latency

    return float(
        np.median([measure_latency(data, seconds=0.1) / measure_latency(other, seconds=0.1) for _ in range(PAIRS)])
    )


def _float_file(network: Reference, model: Any, weights: Any) -> bytes:
    import tempfile

    from automl_keras.export import export_float

    with tempfile.TemporaryDirectory() as folder:
        path = export_float(
            model,
            Path(folder) / "float.tflite",
            network.info,
            weights=weights,
            calibration_images=network.data.train.images[:200],
            seed=0,
        )
        return path.read_bytes()


def _mixed(network: Reference, model: Any, bits: Any, seed: int, profile: str = "litert>=1.4") -> Any:
    from automl_keras.quantization import MixedPrecision

    images = network.data.train.images
    return MixedPrecision(model, network.info, images, bits=bits, profile=profile, seed=seed)


def _search(
    network: Reference, mixed: Any, kind: str, kilobytes: float, as_fast_as: bytes | None = None
) -> tuple[Any, float]:
    from automl_keras import Budget
    from automl_keras.export import median_latency

    judges = network.data.validation
    milliseconds = None if as_fast_as is None else FAST * median_latency(as_fast_as)
    budget = Budget(max_size_kb=kilobytes, max_latency_ms=milliseconds)
    start = time.monotonic()
    found = mixed.search(kind, budget, judges.images, judges.codes, objective="val_loss")
    return found[0].architecture, time.monotonic() - start


def _tuned(mixed: Any, policy: Any, train: Any) -> Any:
    from automl_keras.training import Limit

    return mixed.fine_tuned(
        policy, train.images, train.codes, Limit(steps=TUNING_STEPS), augmentation={"flip": True, "cutout": 0.0}
    )


def _answers(name: str, seed: int) -> dict[str, Any]:
    path = CACHE / f"{name}_{seed}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _difference(right: np.ndarray, other: dict[str, Any] | None) -> str:
    """In points of accuracy, with the standard error of the paired difference."""
    if other is None:
        return "-"
    before = np.unpackbits(np.array(other["right"], np.uint8))[: len(right)].astype(int)
    change = 100 * (right.astype(int) - before)
    return f"{change.mean():+.2f} ± {change.std() / np.sqrt(len(right)):.2f}"


def plot() -> Path:
    """Accuracy against size, one panel for each network."""
    import matplotlib.pyplot as plt

    lines = TABLE.lines()
    figure, panels = plt.subplots(1, len(NETWORKS), figsize=(10, 4), layout="constrained")
    families: dict[str, Callable[[str], bool]] = {
        "integer programme": lambda method: method.startswith("ilp-"),
        "integer programme, tuned": lambda method: method.startswith("ilp_tuned"),
        "evolution": lambda method: method.startswith("evolution"),
        "DDPG": lambda method: method.startswith("ddpg"),
        "random": lambda method: method.startswith("random"),
        "4 or 8 bits everywhere": lambda method: method in ("int8", "uniform4"),
        "4 or 8 bits everywhere, tuned": lambda method: method in ("int8_tuned", "uniform4_tuned"),
        "tensorflow-model-optimization, int8": lambda method: method == "tfmot_int8",
    }
    for panel, name in zip(panels, NETWORKS, strict=True):
        of_network = [(line["row"].partition("-")[2], line) for line in lines if line["row"].startswith(f"{name}-")]
        for label, belongs in families.items():
            points = sorted(
                (float(line["kB"]), 100 * float(line["accuracy"])) for method, line in of_network if belongs(method)
            )
            if points:
                panel.plot(*zip(*points, strict=True), "o-" if len(points) > 1 else "s", label=label, markersize=4)
        panel.set(title=f"Network {name}", xlabel="kB of the file", ylabel="accuracy of the file, %")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=7)
    figure.savefig(PICTURE, dpi=150)
    return PICTURE


if __name__ == "__main__":
    main(__file__, __doc__ or "", ROWS, run, TABLE, plot)
