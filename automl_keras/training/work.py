"""How long a network takes to train, predicted from its layers."""

from __future__ import annotations

from automl_keras.search_space import NetworkSpec

# Fitted to 23 networks on 2 CPU cores (`benchmarks/training_speed.py`); the ratios matter.
MACS_PER_ACTIVATION = 160.0  # BatchNorm, ReLU and their gradients wait for memory
MACS_PER_IMAGE = 3.2e6  # augmentation, and an image's part of what a step costs in any case


def training_work(spec: NetworkSpec) -> float:
    """What a step of training costs for each image, in forward multiply-accumulate operations.

    The time of a step is proportional to it, within 10 % for residual, fused MBConv and MBConv blocks.
    Multiply-accumulate operations alone are off by factors of 2 and more: depthwise convolutions and high
    resolutions cost few of them and much memory traffic.
    """
    work = MACS_PER_IMAGE + spec.features * spec.num_classes
    for conv, (height, width) in spec.convs():
        inputs = 1 if conv.kind == "depthwise" else conv.in_channels
        activations = height * width * conv.out_channels
        work += activations * (conv.kernel**2 * inputs + MACS_PER_ACTIVATION)
    return work
