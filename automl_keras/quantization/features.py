"""What HAQ's agent knows of each layer."""

from __future__ import annotations

from automl_keras.quantization.bit_space import BitSpace
from automl_keras.quantization.layers import QuantizableLayer


def haq_features(space: BitSpace) -> list[list[float]]:
    """The columns of HAQ's state that do not change, a row for each layer (Wang et al., CVPR 2019, section 3).

    Whether it is depthwise, channels of the input and of the output, stride, kernel, weights, size of the input and
    place. As in the released code, a dense layer has a stride of 0, and its input counts as an image of one pixel for
    each feature. The size of other inputs is that of the output times the stride in both directions: right for
    padding "same" where the stride divides the size. They are plain numbers, for `DDPGStrategy(features=)`.
    """
    layers = {layer.name: layer for layer in space.layers}
    return [_row(layers[decision.name], place) for place, decision in enumerate(space.decisions)]


def _row(layer: QuantizableLayer, place: int) -> list[float]:
    is_dense = layer.op == "FULLY_CONNECTED" and layer.positions == 1
    return [
        float(layer.op == "DEPTHWISE_CONV_2D"),
        float(layer.in_channels),
        float(layer.out_channels),
        0.0 if is_dense else float(layer.stride),
        float(layer.kernel),
        float(layer.weights),
        float(layer.in_channels if is_dense else layer.positions * layer.stride**2),
        float(place),
    ]
