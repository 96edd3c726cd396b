from automl_keras.quantization.bit_space import BitSpace
from automl_keras.quantization.features import haq_features
from automl_keras.quantization.layers import QuantizableLayer
from automl_keras.search_space import Decision


def layer(name: str, op: str, kernel: int, stride: int, channels: tuple[int, int], positions: int) -> QuantizableLayer:
    weights = kernel**2 * channels[1] * (1 if op.startswith("DEPTHWISE") else channels[0])
    return QuantizableLayer(name, op, kernel, stride, *channels, weights, channels[1], weights * positions, positions)


def test_columns_are_haqs() -> None:
    """Depthwise, channels in and out, stride, kernel, weights, size of the input, place; dense ones as in its code."""
    layers = [
        layer("stem", "CONV_2D", 3, 2, (3, 16), 14 * 14),
        layer("depthwise", "DEPTHWISE_CONV_2D", 5, 1, (16, 16), 14 * 14),
        layer("pointwise", "FULLY_CONNECTED", 1, 1, (16, 24), 14 * 14),
        layer("dense", "FULLY_CONNECTED", 1, 1, (24, 10), 1),
    ]
    decisions = [Decision(one.name, (4, 8), default=8) for one in layers]
    assert haq_features(BitSpace(decisions, layers=layers, profile="litert>=1.4")) == [
        [0, 3, 16, 2, 3, 432, 28 * 28, 0],
        [1, 16, 16, 1, 5, 400, 14 * 14, 1],
        [0, 16, 24, 1, 1, 384, 14 * 14, 2],
        [0, 24, 10, 0, 1, 240, 24, 3],
    ]
