"""tensorflow-model-optimization on Keras 3 networks: its int8 quantization-aware training, and weight clustering.

It works on tf_keras alone, so each function trains the network's twin. Its int8 files are a baseline: it never stores
weights with fewer bits. Clustered weights are stored as they are, and make the compressed file smaller.
"""

from __future__ import annotations

import functools
import io
import re
import zipfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import DatasetInfo, Images
from automl_keras.errors import ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export.exporter import check_fit, converting, finish_file
from automl_keras.export.flatbuffer import read
from automl_keras.export.silence import quiet
from automl_keras.quantization.graph import Graph, without_softmax
from automl_keras.quantization.tf_keras_twin import hard_silu, load_tf_keras, to_keras, to_tf_keras

BATCH_SIZE = 128
PREFIX = rb"(^|[;/])quant_"  # tensorflow-model-optimization puts it in front of the layers' names


def quantization_aware_training(
    model: keras.Model,
    images: Images,
    codes: np.ndarray,
    info: DatasetInfo,
    *,
    epochs: int = 1,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = 1e-4,
    seed: int,
) -> bytes:
    """The int8 file of a network that tensorflow-model-optimization has trained on (Jacob et al., CVPR 2018).

    A `Rescaling` that reads the image stays float in front: it then is exact. The ranges of activations are moving
    averages over the steps (decay 0.999, from -6 to 6 at first), so a hundred steps are too few.

    Args:
        model: Trained; images to logits, or to probabilities by a softmax at its end. Left alone.
        images: To train on, shape `(n, height, width, channels)`, in the user's units.
        codes: The right classes, integers of shape `(n,)`.
        info: Pixel type, range and classes of the data.
        epochs: Passes over the images.
        batch_size: Images in a step.
        learning_rate: Of Adam, constant.
        seed: Seeds the order of the images.

    Returns:
        The file, with input and output, labels and metadata as those of `export_int8`.

    Raises:
        InvalidArgumentError: If a number is not positive, or the model has a layer that has no twin in tf_keras.
        InvalidDataError: If images and codes do not fit.
        ExportError: If tensorflow-model-optimization cannot quantize a layer, or a layer is dead.
    """
    _check_training(images, codes, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    check_fit(model, info, images)
    tf_keras, tfmot = load_tf_keras()
    logits = without_softmax(model)
    rescaling = _first_rescaling(logits)
    twin = to_tf_keras(logits, without=() if rescaling is None else (rescaling.name,))
    api = tfmot.quantization.keras
    with api.quantize_scope({"HardSiluConfig": _hard_silu_config(), "hard_silu": hard_silu()}):
        annotated = tf_keras.models.clone_model(twin, clone_function=_annotated)
        try:
            aware = api.quantize_apply(annotated)
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"tensorflow-model-optimization cannot quantize the model: {error}") from error
    inputs = tf_keras.Input(info.image_shape)
    x = inputs if rescaling is None else to_tf_keras(_alone(rescaling, info.image_shape))(inputs)
    trained = tf_keras.Model(inputs, aware(x))
    _fit(trained, images, codes, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed)
    with converting(), quiet():
        converter = tf.lite.TFLiteConverter.from_keras_model(trained)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        quantized = read(converter.convert())
    _append_softmax(quantized)
    for tensor in quantized.subgraphs[0].tensors:
        tensor.name = re.sub(PREFIX, rb"\1", tensor.name)
    return finish_file(quantized, info, {layer.name for layer in twin.layers})


def cluster_weights(
    model: keras.Model,
    clusters: int,
    images: Images,
    codes: np.ndarray,
    *,
    epochs: int = 1,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = 1e-4,
    seed: int,
) -> keras.Model:
    """A copy of a network whose kernels have few different values, trained so.

    HAQ's other mode (Wang et al., CVPR 2019, section 3.4; Han et al., ICLR 2016, section 3): weights share the
    values of centroids, which are trained. Differences: centroids are drawn by k-means++ without iterations of
    k-means after it, and depthwise kernels stay as they are, as those with no more weights than there are clusters.
    A BatchNorm behind a convolution multiplies each channel when it is folded into the file; fold it before, with
    `fold_batch_norm`, so that the file has few different values too.

    Args:
        model: Trained; images to logits, or to probabilities by a softmax at its end. Left alone.
        clusters: Different values in a kernel, at least 2; 16 are worth 4 bits.
        images: As for `quantization_aware_training`.
        codes: As for `quantization_aware_training`.
        epochs: As for `quantization_aware_training`.
        batch_size: As for `quantization_aware_training`.
        learning_rate: As for `quantization_aware_training`.
        seed: As for `quantization_aware_training`.

    Raises:
        InvalidArgumentError: If a number is too small, or the model has a layer that has no twin in tf_keras.
        InvalidDataError: If images and codes do not fit.
    """
    if clusters < 2:
        raise InvalidArgumentError(f"`clusters` must be at least 2. Received: clusters={clusters}")
    _check_training(images, codes, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    tf_keras, tfmot = load_tf_keras()
    api = tfmot.clustering.keras

    def clustered(layer: Any) -> Any:
        kernel = getattr(layer, "pointwise_kernel", getattr(layer, "kernel", None))
        if kernel is None or int(np.prod(kernel.shape)) <= clusters:
            return layer
        initial = api.CentroidInitialization.KMEANS_PLUS_PLUS
        return api.cluster_weights(layer, number_of_clusters=clusters, cluster_centroids_init=initial)

    twin = tf_keras.models.clone_model(to_tf_keras(without_softmax(model)), clone_function=clustered)
    _fit(twin, images, codes, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed)
    return to_keras(api.strip_clustering(twin), model)


def zip_size_kb(data: bytes) -> float:
    """Size in kB of a file in a zip archive (deflate), as in the package of an app: what a download takes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("model.tflite", data)
    return len(stream.getvalue()) / 1000


def _fit(
    twin: Any, images: Images, codes: np.ndarray, *, epochs: int, batch_size: int, learning_rate: float, seed: int
) -> None:
    """Train a twin of logits. The order of each epoch is drawn here: tf_keras would take its global generator."""
    tf_keras, _ = load_tf_keras()
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(tf_keras.optimizers.Adam(learning_rate), loss)
    for epoch in range(epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(images))
        twin.fit(images[order], codes[order], batch_size=batch_size, shuffle=False, verbose=0)


def _check_training(images: Images, codes: np.ndarray, *, epochs: int, batch_size: int, learning_rate: float) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("learning_rate", learning_rate)):
        if not value > 0:
            raise InvalidArgumentError(f"`{name}` must be positive. Received: {name}={value!r}")
    if len(images) == 0 or len(images) != len(codes):
        raise InvalidDataError(
            f"`images` and `codes` must be of one length, at least 1. Received: lengths={(len(images), len(codes))}"
        )


def _first_rescaling(model: keras.Model) -> keras.layers.Rescaling | None:
    """The `Rescaling` that alone reads the image."""
    graph = Graph(model)
    reader = graph.only_reader(graph.input)
    return reader.layer if reader is not None and type(reader.layer) is keras.layers.Rescaling else None


def _alone(layer: keras.layers.Layer, shape: tuple[int, ...]) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, type(layer).from_config(layer.get_config())(inputs))


def _append_softmax(model: Any) -> None:
    """A float softmax behind the logits of a `ModelT`; the converter would make one of int8."""
    from ai_edge_litert import schema_py_generated as schema

    kind, graph = schema.BuiltinOperator.SOFTMAX, model.subgraphs[0]
    model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=kind, builtinCode=kind))
    logits, probabilities = int(graph.outputs[0]), len(graph.tensors)
    shape = list(graph.tensors[logits].shape)
    dtype = schema.TensorType.FLOAT32
    graph.tensors.append(schema.TensorT(name=b"probabilities", shape=shape, type=dtype, hasRank=True))
    graph.operators.append(
        schema.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1,
            inputs=[logits],
            outputs=[probabilities],
            builtinOptionsType=schema.BuiltinOptions.SoftmaxOptions,
            builtinOptions=schema.SoftmaxOptionsT(beta=1.0),
        )
    )
    graph.outputs = [probabilities]
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = probabilities


def _annotated(layer: Any) -> Any:
    _, tfmot = load_tf_keras()
    config = _hard_silu_config()() if getattr(layer, "activation", None) is hard_silu() else None
    return tfmot.quantization.keras.quantize_annotate_layer(layer, quantize_config=config)


@functools.cache
def _hard_silu_config() -> type:
    """How to quantize an activation that tensorflow-model-optimization does not know: its output, to int8."""
    _, tfmot = load_tf_keras()
    quantizers = tfmot.quantization.keras.quantizers
    base: Any = tfmot.quantization.keras.QuantizeConfig

    class HardSiluConfig(base):
        def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
            return []

        def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
            return []

        def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
            return None

        def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
            return None

        def get_output_quantizers(self, layer: Any) -> list[Any]:
            int8 = {"num_bits": 8, "per_axis": False, "symmetric": False, "narrow_range": False}
            return [quantizers.MovingAverageQuantizer(**int8)]

        def get_config(self) -> dict[str, Any]:
            return {}

    return HardSiluConfig
