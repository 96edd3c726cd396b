import numpy as np
import tensorflow as tf

from automl_keras.data import DatasetInfo
from automl_keras.search_space import ImageSearchSpace
from automl_keras.supernet import MinibatchScorer, make_supernet


def test_accuracies_are_those_of_single_minibatches(space: ImageSearchSpace, info: DatasetInfo) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
    codes = rng.integers(0, 3, 300).astype(np.int32)
    supernet = make_supernet(space, info, seed=0)
    before = supernet.get_weights()
    scorer = MinibatchScorer(supernet, images, codes, seed=5)
    assert scorer.num_batches == 2  # of 128: the rest is left out
    architectures = [space.sample(rng) for _ in range(3)]
    found = scorer.accuracies(architectures, 1)
    order = np.random.default_rng((5, 4096)).permutation(300)[:256].reshape(2, 128)
    for architecture, place, accuracy in zip(architectures, (1, 0, 1), found, strict=True):
        logits = supernet.forward(tf.constant(images[order[place]]), tf.constant(space.encode(architecture)), "train")
        assert accuracy == np.mean(np.argmax(logits, axis=1) == codes[order[place]])
    assert all(np.array_equal(a, b) for a, b in zip(before, supernet.get_weights(), strict=True))
