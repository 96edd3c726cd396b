"""How well `network_cost` predicts the size and the memory of int8 files without making them.

Random architectures with random weights are exported and compared. One command:

    python benchmarks/predicted_size.py            # 50 architectures of the first space, 15 of each other
    python benchmarks/predicted_size.py --count 10
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from automl_keras.data import DatasetInfo
from automl_keras.evaluation import network_cost
from automl_keras.export import export_int8
from automl_keras.export.flatbuffer import read
from automl_keras.export.inspection import peak_memory
from automl_keras.search_space import NetworkSpace, build_network, image_space, macro_space

SPACES: tuple[tuple[str, NetworkSpace, int], ...] = (
    ("image", image_space((28, 28, 1), 10), 50),
    ("image", image_space((8, 8, 1), 10), 15),
    ("image", image_space((32, 32, 3), 100), 15),
    ("macro", macro_space((28, 28, 1), 10), 15),
    ("macro", macro_space((32, 32, 3), 100, num_layers=12, num_filters=36), 15),
)


def exported_file(space: NetworkSpace, index: int, path: Path) -> tuple[float, float, float, float]:
    """Predicted and real kB, predicted and real RAM of one random architecture."""
    rng = np.random.default_rng((2024, index))
    architecture = space.sample(rng)
    channels = space.image_shape[2]
    mean, std, classes = (73.0,) * channels, (90.0,) * channels, tuple(range(space.num_classes))
    info = DatasetInfo(space.image_shape, "uint8", mean, std, (0.0, 255.0), classes, 8, 2)
    spec = space.network_spec(architecture)
    model = build_network(spec, info, seed=index)
    images = rng.integers(0, 256, (16, *space.image_shape)).astype(np.float32)
    for weight in model.trainable_variables:  # no bias is zero, as after training
        weight.assign(weight + rng.normal(0.0, 0.02, weight.shape))
    for layer in model.layers:
        if hasattr(layer, "momentum"):  # BatchNorm: the one forward pass sets its statistics
            layer.momentum = 0.0
    model(images, training=True)
    data = export_int8(model, path, info, calibration_images=images, seed=0).read_bytes()
    cost = network_cost(spec)
    assert cost.size_kb is not None
    assert cost.ram_kb is not None
    return cost.size_kb, len(data) / 1000, cost.ram_kb, peak_memory(read(data)) / 1000


def seconds_per_call(space: NetworkSpace) -> float:
    specs = [space.network_spec(space.sample(np.random.default_rng(index))) for index in range(500)]
    start = time.perf_counter()
    for spec in specs:
        network_cost(spec)
    return (time.perf_counter() - start) / len(specs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, help="architectures of each space (default: 50, then 15 of each)")
    count = parser.parse_args().count
    print("| space | files | kB | size error: mean | median | 95 % | largest | RAM equal | per call |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, space, default_count in SPACES:
        with tempfile.TemporaryDirectory() as directory:
            rows = np.array(
                [exported_file(space, i, Path(directory) / "m.tflite") for i in range(count or default_count)]
            )
        errors = np.abs(rows[:, 0] / rows[:, 1] - 1)
        equal = int(np.sum(np.abs(rows[:, 2] - rows[:, 3]) < 1e-9))
        print(
            f"| {kind}, {'x'.join(map(str, space.image_shape))}, {space.num_classes} classes | {len(rows)} "
            f"| {rows[:, 1].min():.1f} to {rows[:, 1].max():.1f} | {errors.mean():.2%} | {np.median(errors):.2%} "
            f"| {np.quantile(errors, 0.95):.2%} | {errors.max():.2%} | {equal} of {len(rows)} "
            f"| {seconds_per_call(space) * 1e6:.0f} us |",
            flush=True,
        )


if __name__ == "__main__":
    main()
