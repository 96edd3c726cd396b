"""How long a network takes to train, predicted from its layers."""

from __future__ import annotations

import math

from automl_keras.search_space import AddSpec, ConvSpec, NetworkSpec

# Fitted to 23 networks on 2 CPU cores (`benchmarks/training_speed.py`); the ratios matter.
MACS_PER_ACTIVATION = 160.0  # BatchNorm, ReLU and their gradients wait for memory
MACS_PER_IMAGE = 3.2e6  # augmentation, and an image's part of what a step costs in any case


def training_work(spec: NetworkSpec) -> float:
    """What a step of training costs for each image, in forward multiply-accumulate operations.

    The time of a step is proportional to it, within 10 % for residual, fused MBConv and MBConv blocks.
    Multiply-accumulate operations alone are off by factors of 2 and more: depthwise convolutions and high
    resolutions cost few of them and much memory traffic. Additions are in the constants; where there are many, as
    in networks of the macro space with all skip connections, they cost up to a fifth more.
    """
    work = MACS_PER_IMAGE + spec.features * spec.num_classes
    for layer in spec.layers:
        if isinstance(layer.spec, AddSpec):
            continue
        if isinstance(layer.spec, ConvSpec):
            inputs = layer.spec.in_channels if layer.spec.kind == "conv" else 1
            macs = layer.spec.kernel**2 * inputs
        else:
            macs = layer.spec.size**2
        work += math.prod(layer.shape) * (macs + MACS_PER_ACTIVATION)
    return work
