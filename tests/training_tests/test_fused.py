import keras
import numpy as np

from automl_keras.training.fused import fused_twin

IMAGES = np.random.default_rng(0).uniform(0, 255, (16, 4, 4, 3)).astype(np.float32)


def made(trainable: bool) -> keras.Model:
    """A network with an adapted normalisation and with BatchNorm statistics of its own."""
    image = keras.Input((4, 4, 3))
    normalization = keras.layers.Normalization()
    normalization.adapt(IMAGES)
    batch_norm = keras.layers.BatchNormalization(trainable=trainable)
    model = keras.Model(image, batch_norm(normalization(image)))
    batch_norm.set_weights([np.full(3, value, np.float32) for value in (2.0, 1.0, 0.5, 4.0)])
    return model


def test_a_twin_normalises_pixels_with_the_same_values() -> None:
    model = made(trainable=True)
    np.testing.assert_allclose(fused_twin(model)(IMAGES, training=False), model(IMAGES, training=False), rtol=1e-6)


def test_frozen_batch_norm_uses_and_keeps_its_statistics_in_training() -> None:
    model = made(trainable=False)
    twin = fused_twin(model)
    assert not twin.trainable_variables
    np.testing.assert_allclose(twin(IMAGES, training=True), model(IMAGES, training=False), rtol=1e-6)
    assert all(np.array_equal(*pair) for pair in zip(twin.get_weights(), model.get_weights(), strict=True))
