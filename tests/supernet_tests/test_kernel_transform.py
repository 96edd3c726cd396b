import pickle
from pathlib import Path

import numpy as np
import tensorflow as tf

from automl_keras.data import DatasetInfo
from automl_keras.search_space import Architecture, ImageSearchSpace
from automl_keras.supernet import ImageSupernet, SupernetTrainer
from automl_keras.training import Limit, recipe_space


class FixedSampler:
    distill = False
    num_paths = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def draw(self, step: int) -> list[Architecture]:
        return [self.architecture]


def make(space: ImageSearchSpace, info: DatasetInfo, *, kernel_transform: bool = True) -> ImageSupernet:
    supernet = ImageSupernet(space, info, seed=0, kernel_transform=kernel_transform)
    supernet.build()
    return supernet


def logits(supernet: ImageSupernet, architecture: Architecture, images: np.ndarray, mode: str) -> np.ndarray:
    return supernet.forward(tf.constant(images), tf.constant(supernet.space.encode(architecture)), mode).numpy()


def shake(supernet: ImageSupernet) -> None:
    """Give all weights other values than those they begin with."""
    rng = np.random.default_rng(3)
    for variable in supernet.weights:
        if variable is not supernet.architecture_code:
            variable.assign(variable.numpy() + rng.uniform(-0.1, 0.1, variable.shape))


def test_transformed_kernels_start_as_centres(
    elastic_space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray
) -> None:
    plain, transformed = (make(elastic_space, info, kernel_transform=on) for on in (False, True))
    rng = np.random.default_rng(0)
    for _ in range(6):
        architecture = elastic_space.sample(rng)
        one, other = (logits(supernet, architecture, images, "train") for supernet in (plain, transformed))
        assert np.abs(one - other).max() < 1e-5


def test_smaller_kernels_are_matrices_times_centres(elastic_space: ImageSearchSpace, info: DatasetInfo) -> None:
    supernet = make(elastic_space, info)
    shake(supernet)
    for name, channels in (("s0b1_res2", (4, 6)), ("s0b0_mb2", (8, 1))):
        conv = supernet.conv(name)
        assert {side: tuple(matrix.shape) for side, matrix in conv.transforms.items()} == {5: (25, 25), 3: (9, 9)}
        expected = conv.kernel.numpy()[:, :, : channels[0], : channels[1]]
        for side in (5, 3):
            centre, found = expected[1:-1, 1:-1], np.zeros((side, side, *channels), np.float32)
            for pair in np.ndindex(channels):  # each is a vector of side * side weights
                found[..., *pair] = (conv.transforms[side].numpy() @ centre[..., *pair].ravel()).reshape(side, side)
            expected = found
            chosen = {"stage0_kernel": side, "stage0_width": 6, "stage0_depth": 2, "stage0_expansion": 4}
            operation = "mbconv" if "mb" in name else "residual"
            spec = elastic_space.network_spec({**chosen, "stage0_operation": operation})
            small = next(spec for spec, _ in spec.convs() if spec.name == name)
            kernel = dict(conv.values(small))["kernel"].numpy()
            assert np.allclose(kernel[:, :, : channels[0], : channels[1]], expected, atol=1e-5)


def test_subnet_carries_the_transformed_kernels(
    elastic_space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray, tmp_path: Path
) -> None:
    supernet = make(elastic_space, info)
    shake(supernet)
    supernet.save_weights(tmp_path / "a.weights.h5")
    loaded = make(elastic_space, info)
    loaded.load_weights(tmp_path / "a.weights.h5")
    copies = [supernet, loaded, pickle.loads(pickle.dumps(supernet))]
    rng = np.random.default_rng(1)
    for number, kernel in enumerate((3, 5, 7, 3, 5, 7)):
        architecture = elastic_space.canonical(
            {**elastic_space.sample(rng), "stage0_kernel": kernel, "stage1_kernel": (3, 5, 7)[number // 2]}
        )
        wanted = supernet.subnet(architecture).predict_on_batch(images)
        for copy in copies:
            assert np.allclose(logits(copy, architecture, images, "evaluate"), wanted, rtol=1e-5, atol=1e-3)


def test_matrices_are_trained_with_the_kernels_made_by_them(
    elastic_space: ImageSearchSpace, info: DatasetInfo, images: np.ndarray, codes: np.ndarray
) -> None:
    one_block = {"stage0_operation": ("mbconv",), "stage1_operation": ("residual",)}
    space = elastic_space.restrict({**one_block, **{f"stage{s}_depth": (1,) for s in range(2)}})
    supernet = make(space, info)
    trainer = SupernetTrainer(supernet, recipe_space().default(), batch_size=16)
    for kernel in (3, 5, 7):
        before = {key: [v.numpy() for v in group] for key, group in supernet.groups().items()}
        sampler = FixedSampler(space.canonical({"stage0_kernel": kernel, "stage1_kernel": kernel}))
        trainer.train(images, codes, sampler, Limit(steps=2))
        for key, group in supernet.groups().items():
            moved = {not np.array_equal(v.numpy(), old) for v, old in zip(group, before[key], strict=True)}
            side = key[3] if len(key) == 4 else 7
            assert moved == {kernel <= side}, (kernel, key)
