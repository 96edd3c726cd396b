"""Does ENAS's controller learn? What it draws against uniform draws, on the same shared weights.

    python benchmarks/enas_controller.py            three seeds, about six minutes
    python benchmarks/enas_controller.py --seeds 0 --epochs 4

ENAS's macro space on 10,000 images of Fashion-MNIST: the shared weights are trained on 8,000 of them, on what the
controller draws, and after each epoch it learns from minibatches of 1,000 others. Then architectures are drawn from
it and uniformly, and scored with the same weights, BatchNorm recalibrated, on the 1,000 images that are left.
"""

import argparse

import numpy as np
from datasets import fashion_10k

from automl_keras.data import prepare_data
from automl_keras.search_space import macro_space
from automl_keras.supernet import MinibatchScorer, Round, SubnetScorer, SupernetTrainer, make_supernet
from automl_keras.training import recipe_space
from automl_keras.tuners import ControllerPolicy, RoundRunner

LAYERS, FILTERS = 4, 16
DRAWS = 60
UNSEEN = 1_000  # validation images that the controller does not learn from


def run(seed: int, epochs: int) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Accuracies of draws from the controller, of uniform draws, and the entropy after every epoch."""
    data = fashion_10k()
    prepared = prepare_data(data.x_train, data.y_train, seed=seed)
    validation = prepared.validation
    space = macro_space(prepared.info.image_shape, 10, num_layers=LAYERS, num_filters=FILTERS)
    supernet = make_supernet(space, prepared.info, seed=seed)
    trainer = SupernetTrainer(supernet, recipe_space().default(), seed=seed)
    policy = ControllerPolicy(space, seed=seed)
    seen = MinibatchScorer(supernet, validation.images[UNSEEN:], validation.codes[UNSEEN:], seed=seed)
    rounds = (Round("policy", epochs=epochs),)
    RoundRunner(trainer, prepared.train, rounds, policy=policy, minibatches=seen).run(1)
    scorer = SubnetScorer(supernet, prepared.train.images, validation.images[:UNSEEN], validation.codes[:UNSEEN])
    rng = np.random.default_rng((seed, DRAWS))
    drawn = [policy.drafts(rng)[0] for _ in range(DRAWS)]
    uniform = [space.sample(rng) for _ in range(DRAWS)]
    scores = [np.array([scorer.score(network) for network in networks]) for networks in (drawn, uniform)]
    return scores[0], scores[1], [measured["entropy"] for measured in policy.history]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    print("| seed | controller | uniform | difference | standard error | entropy, first to last epoch |")
    print("|---|---|---|---|---|---|")
    for seed in options.seeds:
        drawn, uniform, entropy = run(seed, options.epochs)
        error = np.sqrt(drawn.var(ddof=1) / len(drawn) + uniform.var(ddof=1) / len(uniform))
        curve = ", ".join(f"{entropy[place]:.1f}" for place in np.linspace(0, len(entropy) - 1, 5).round().astype(int))
        print(
            f"| {seed} | {drawn.mean():.4f} | {uniform.mean():.4f} | {drawn.mean() - uniform.mean():+.4f} "
            f"| {error:.4f} | {curve} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
