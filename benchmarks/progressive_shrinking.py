"""Does growing down help the smallest subnet? Progressive shrinking against uniform sampling from the start.

    python benchmarks/progressive_shrinking.py [seeds] [gradient_evaluations]

Fashion-10k, MBConv blocks, the kernel transformation in all rows. Every row computes the same number of gradients of
one path on one batch; "uniform, 4 paths" sums four of them in each step, as the last stages of shrinking do. Printed:
test accuracy of the smallest and of the largest subnet with inherited weights and recalibrated BatchNorm, means over
the seeds with standard errors, then the paired differences.
"""

import sys
import time

import numpy as np
from datasets import fashion_10k

from automl_keras.data import Dataset, PreparedData, prepare_data, read_labelled
from automl_keras.search_space import ImageSearchSpace, image_space
from automl_keras.supernet import Round, SubnetScorer, SupernetTrainer, make_supernet, shrinking_rounds
from automl_keras.training import recipe_space

SHRINKING = "progressive shrinking"


def space() -> ImageSearchSpace:
    widths = {"stage0_width": (8, 16), "stage1_width": (8, 16, 32), "stage2_width": (16, 32, 64)}
    operations = {f"stage{stage}_operation": ("mbconv",) for stage in range(3)}
    return image_space((28, 28, 1), 10).restrict({"full_resolution": (0,), **widths, **operations})


def plans(gradient_evaluations: int) -> dict[str, tuple[Round, ...]]:
    return {
        SHRINKING: shrinking_rounds(space(), gradient_evaluations=gradient_evaluations),
        "uniform, 1 path": (Round("uniform", gradient_evaluations=gradient_evaluations),),
        "uniform, 4 paths": (Round("uniform", gradient_evaluations=gradient_evaluations, num_paths=4),),
    }


def run(rounds: tuple[Round, ...], prepared: PreparedData, test: Dataset, seed: int) -> tuple[float, float, int]:
    """Test accuracy of the smallest and the largest subnet, and the number of gradients."""
    train = prepared.train
    supernet = make_supernet(space(), prepared.info, seed=seed, kernel_transform=True)
    trainer = SupernetTrainer(supernet, recipe_space().default(), seed=seed)
    scorer = SubnetScorer(supernet, train.images, test.images, test.codes, seed=seed)
    teacher, previous = None, None
    for number, planned in enumerate(rounds):
        trainer.train_round(train.images, train.codes, planned, number=number, previous=previous, teacher=teacher)
        if number == 0 and len(rounds) > 1:
            teacher = scorer.subnet(space().extreme(largest=True))
        previous = planned
    smallest, largest = (scorer.score(space().extreme(largest=size)) for size in (False, True))
    return smallest, largest, trainer.gradient_evaluations


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    gradient_evaluations = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    data = fashion_10k()
    prepared = prepare_data(data.x_train, data.y_train, seed=0)
    test = read_labelled(data.x_test, data.y_test, None, prepared.codec, prepared.info.image_shape)
    print("| training | seed | smallest | largest | gradient evaluations | seconds |\n|---|---|---|---|---|---|")
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        for name, rounds in plans(gradient_evaluations).items():
            start = time.monotonic()
            smallest, largest, evaluations = run(rounds, prepared, test, seed)
            found.setdefault(name, []).append((smallest, largest))
            seconds = time.monotonic() - start
            print(f"| {name} | {seed} | {smallest:.4f} | {largest:.4f} | {evaluations} | {seconds:.0f} |", flush=True)
    print("\n| training | smallest | largest |\n|---|---|---|")
    for name, accuracies in found.items():
        print(f"| {name} | {_mean(accuracies)} |")
    for name, accuracies in found.items():
        if name != SHRINKING:
            print(f"| {SHRINKING} - {name} | {_mean(np.subtract(found[SHRINKING], accuracies))} |")


def _mean(pairs: object) -> str:
    """Both means, with standard errors."""
    values = np.asarray(pairs)
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(2, np.nan)
    return " | ".join(f"{mean:.4f} ± {error:.4f}" for mean, error in zip(values.mean(axis=0), errors, strict=True))


if __name__ == "__main__":
    main()
