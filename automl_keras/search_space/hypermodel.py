"""Stand-alone networks of a space as a Keras-Tuner hypermodel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import keras_tuner

from automl_keras.data.task import CLASSIFICATION
from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space.network import build_network

if TYPE_CHECKING:
    from automl_keras.data import DatasetInfo
    from automl_keras.search_space.network_space import NetworkSpace


class NetworkHyperModel(keras_tuner.HyperModel):
    """Builds compiled, untrained networks: softmax outputs, integer labels, AdamW.

    Args:
        space: The networks; every decision becomes a hyperparameter of its name.
        info: Pixel statistics of the data.
        seed: Seeds the initial weights.

    Raises:
        InvalidArgumentError: If images have several labels or values.
    """

    def __init__(self, space: NetworkSpace, info: DatasetInfo, seed: int = 0) -> None:
        if info.task != CLASSIFICATION:
            raise InvalidArgumentError(
                f"A hypermodel needs one class for each image. Received: info of images {info.described}"
            )
        super().__init__(name="image_network")
        self.space = space
        self.info = info
        self.seed = seed

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Declare every decision on `hp` and build the network of its present values."""
        network = build_network(self.space.network_spec(self.space.declare(hp)), self.info, seed=self.seed)
        outputs = keras.layers.Softmax(name="probabilities")(network.output)
        model = keras.Model(network.input, outputs, name="classifier")
        model.compile(
            optimizer=keras.optimizers.AdamW(learning_rate=4e-3, weight_decay=0.02),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model
