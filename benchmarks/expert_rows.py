"""An expert's residual network, trained in plain Keras or by the clock with this package's optimizers."""

import time
from typing import Any

import numpy as np
from datasets import Data
from image_rows import peak_gigabytes

EPOCHS = 30


def expert_network(image_shape: tuple[int, ...], num_classes: int, largest_pixel: float) -> Any:
    """A residual network from raw pixels to logits: 16-32-64 channels, 124 k parameters with 10 classes."""
    import keras
    from keras import layers

    def convolution(inputs: Any, filters: int, stride: int = 1) -> Any:
        outputs = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(inputs)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(outputs))

    inputs = keras.Input(image_shape)
    outputs = convolution(layers.Rescaling(2.0 / largest_pixel, offset=-1.0)(inputs), 16, 2)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        outputs = convolution(outputs, filters, stride)
        outputs = layers.Add()([outputs, convolution(convolution(outputs, filters), filters)])
    outputs = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(outputs))
    return keras.Model(inputs, layers.Dense(num_classes)(outputs))


def run_expert(data: Data, seed: int) -> dict[str, Any]:
    """The network and a training as an expert writes them in plain Keras, in their own time."""
    import keras
    import tensorflow as tf

    start = time.monotonic()
    keras.utils.set_random_seed(seed)
    x = _with_channels(data.x_train).astype("float32")
    model = expert_network(x.shape[1:], len(np.unique(data.y_train)), float(x.max()))

    def augment(images: Any, labels: Any) -> tuple[Any, Any]:
        padded = tf.pad(images, ((2, 2), (2, 2), (0, 0)))
        return tf.image.random_flip_left_right(tf.image.random_crop(padded, images.shape)), labels

    dataset = tf.data.Dataset.from_tensor_slices((x, data.y_train)).cache().shuffle(len(x), seed=seed)
    dataset = dataset.map(augment, num_parallel_calls=2).batch(128, drop_remainder=True).prefetch(2)
    steps = EPOCHS * (len(x) // 128)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=round(0.8 * steps), warmup_target=4e-3, warmup_steps=round(0.2 * steps)
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=0.02),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(dataset, epochs=EPOCHS, verbose=0)
    took = time.monotonic() - start
    logits = model.predict(_with_channels(data.x_test).astype("float32"), batch_size=500, verbose=0)
    return _result(logits, data, took)


def run_expert_by_the_clock(data: Data, seconds: float, optimizer: str, seed: int) -> dict[str, Any]:
    """The network trained for `seconds`, one cycle of the learning rate over them, by "adamw" or "muon".

    Random crops, flips where the data allow them; the weights stay float.
    """
    import keras

    from automl_keras.training import Limit, predict, recipe_space, train_network

    start = time.monotonic()
    keras.utils.set_random_seed(seed)
    images = _with_channels(data.x_train)
    classes, codes = np.unique(data.y_train, return_inverse=True)
    model = expert_network(images.shape[1:], len(classes), float(images.max()))
    recipe = recipe_space().canonical({"optimizer": optimizer, "flip": data.may_flip})
    limit = Limit(deadline=start + seconds)
    train_network(model, images, codes.astype(np.int32), recipe, limit, seed=seed)
    took = time.monotonic() - start
    return _result(predict(model, _with_channels(data.x_test)), data, took)


def _with_channels(images: np.ndarray) -> np.ndarray:
    return images if images.ndim == 4 else images[..., None]


def _result(logits: np.ndarray, data: Data, seconds: float) -> dict[str, Any]:
    answers = np.unique(data.y_train)[logits.argmax(axis=1)]
    return {
        "seconds": seconds,
        "keras": float((answers == data.y_test).mean()),
        "networks": 1,
        "peak GB": peak_gigabytes(),
    }
