"""How far training the smallest slices moves the rest of the shared kernels.

    python benchmarks/slice_drift.py

Blocks that a step does not take are gated and do not move at all. Inside a block, the part of a kernel outside all
slices of a step gets no gradient, but momentum left over from before and weight decay still move it. Printed: the
relative change of that part, and of the trained part, after training the smallest sizes alone.
"""

import numpy as np
from datasets import digits

from automl_keras.data import prepare_data
from automl_keras.search_space import Architecture, image_space
from automl_keras.supernet import SandwichSampler, SupernetTrainer, make_supernet
from automl_keras.training import Limit, recipe_space

STEPS = 100


class SmallestSampler:
    """The smallest sizes in every step."""

    distill = False
    num_paths = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def draw(self, step: int) -> list[Architecture]:
        return [self.architecture]


def main() -> None:
    data = digits()
    prepared = prepare_data(data.x_train, data.y_train, seed=0)
    space = image_space((8, 8, 1), 10).restrict({f"stage{s}_operation": ("residual",) for s in range(3)})
    smallest = space.extreme(largest=False)
    print("| optimizer | steps | relative change outside the slices | inside |\n|---|---|---|---|")
    for optimizer in ("muon", "adamw"):
        supernet = make_supernet(space, prepared.info, seed=0)
        trainer = SupernetTrainer(supernet, recipe_space().canonical({"optimizer": optimizer}))
        train = prepared.train
        trainer.train(train.images, train.codes, SandwichSampler(space), Limit(steps=STEPS))
        kernel = supernet.conv("s1b0_res1").kernel
        before = kernel.numpy()
        trainer.train(train.images, train.codes, SmallestSampler(smallest), Limit(steps=STEPS))
        small = next(conv for conv, _ in space.network_spec(smallest).convs() if conv.name == "s1b0_res1")
        inside = np.zeros(before.shape, bool)
        margin = (before.shape[0] - small.kernel) // 2
        centre = slice(margin, margin + small.kernel)
        inside[centre, centre, : small.in_channels, : small.out_channels] = True
        change = kernel.numpy() - before
        ratios = [np.linalg.norm(change[part]) / np.linalg.norm(before[part]) for part in (~inside, inside)]
        print(f"| {optimizer} | {STEPS} | {ratios[0]:.4f} | {ratios[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
