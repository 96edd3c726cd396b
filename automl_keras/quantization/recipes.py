"""`width_recipe`: how ai-edge-quantizer is asked for weights of a width in some operations."""

from __future__ import annotations

from automl_keras.export.quantize import Recipe

FLOAT16_BITS = 16
STATIC_BITS = {"int8": 8, "int16": 16}


def width_recipe(scope: str, op: str, bits: int, activations: str = "int8") -> Recipe:
    """The rule for some operations; after the rules for others, it is the one that counts.

    Args:
        scope: A regular expression for the names of the operations' outputs.
        op: "CONV_2D", "DEPTHWISE_CONV_2D" or "FULLY_CONNECTED".
        bits: Of the weights: 2, 3, 4 or 8 (integers, symmetric per output channel), 16 (float16) or 32 (float32).
        activations: "int8" or "int16" (static), "dynamic" or "float"; of no account for float weights.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    rules, operation, algorithm = recipe_manager.RecipeManager(), qtyping.TFLOperationName(op), quantizer.AlgorithmName
    if bits == FLOAT16_BITS:
        rules.add_weight_only_config(scope, operation, num_bits=bits, algorithm_key=algorithm.FLOAT_CASTING)
    elif bits > FLOAT16_BITS:
        rules.add_quantization_config(scope, operation, algorithm_key=algorithm.NO_QUANTIZE)
    else:
        static_bits, is_float = STATIC_BITS.get(activations), activations == "float"
        activation_config = None
        if static_bits is not None:
            activation_config = qtyping.TensorQuantizationConfig(num_bits=static_bits, symmetric=static_bits == 16)
        config = qtyping.OpQuantizationConfig(
            activation_tensor_config=activation_config,
            weight_tensor_config=qtyping.TensorQuantizationConfig(
                num_bits=bits, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
            ),
            compute_precision=qtyping.ComputePrecision.FLOAT if is_float else qtyping.ComputePrecision.INTEGER,
            explicit_dequantize=is_float,
            skip_checks=True,  # what runs is known from the profile; the quantizer's own list is narrower
        )
        rules.add_quantization_config(scope, operation, config)
    return rules.get_quantization_recipe()
