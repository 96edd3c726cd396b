"""`BitSpace`: a search space whose architectures say how many bits the weights of each layer have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from automl_keras.errors import InvalidArgumentError
from automl_keras.export.flatbuffer import DATA_ALIGNMENT, WEIGHTED
from automl_keras.quantization.layers import QuantizableLayer, prepare_float, quantizable_layers
from automl_keras.quantization.profiles import RuntimeProfile, get_profile
from automl_keras.search_space import Decision, SearchSpace

if TYPE_CHECKING:
    import keras

DEFAULT_PROFILE = "litert>=1.4"
STORED_BITS = {3: 4}  # a width that the format does not know is stored in the next wider one
ACTIVATION_BITS, FLOAT_BITS = 8, 32
BUFFER_HEADER = 12  # bytes: length of the data, and the table that points at it

Bits = Sequence[int] | Mapping[str, Sequence[int]]


class BitSpace(SearchSpace):
    """One decision for each layer: the bits of its weights, ascending; the default is the largest.

    2, 3, 4 and 8 are integers per output channel with int8 activations, 16 is float16 and 32 float32, both with
    float activations. An architecture of this space is called a policy.

    Args:
        decisions: Named after the layers.
        layers: Facts about each layer, in the order they run.
        profile: Where the files shall run, or its name.
    """

    def __init__(
        self, decisions: Sequence[Decision], *, layers: Sequence[QuantizableLayer], profile: str | RuntimeProfile
    ) -> None:
        super().__init__(decisions)
        self.layers = tuple(layers)
        self.profile = get_profile(profile)
        self._layers = {layer.name: layer for layer in self.layers}

    def weight_bytes(self, layer: str, bits: int) -> int:
        """Bytes that a layer's weights take in a file: packed, with their header, and aligned as the format demands.

        The sum over the layers and the size of a file differ by what does not depend on integer widths.
        """
        data = -(-self._layers[layer].weights * STORED_BITS.get(bits, bits) // 8)
        return -(-(data + BUFFER_HEADER) // DATA_ALIGNMENT) * DATA_ALIGNMENT

    def bit_ops(self, policy: Mapping[str, Any]) -> int:
        """Multiply-accumulate operations times bits of weights times bits of activations, for one image."""
        return sum(layer.macs * policy[layer.name] * _activation_bits(policy[layer.name]) for layer in self.layers)

    def _replace(self, decisions: Sequence[Decision]) -> Self:
        return type(self)(decisions, layers=self.layers, profile=self.profile)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        layers = [layer.to_dict() for layer in self.layers]
        return {**super().to_dict(), "layers": layers, "profile": self.profile.name}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a space from `to_dict`."""
        return cls(
            [Decision.from_dict(item) for item in data["decisions"]],
            layers=[QuantizableLayer.from_dict(item) for item in data["layers"]],
            profile=data["profile"],
        )


def bit_space(
    model: keras.Model, profile: str | RuntimeProfile = DEFAULT_PROFILE, *, bits: Bits | None = None
) -> BitSpace:
    """The widths that the layers of a model can have.

    Args:
        model: Any Keras model from images to logits or probabilities.
        profile: Where the files shall run.
        bits: Widths to choose from: the same for all layers, or a mapping from names of layers and kinds of
            operations ("CONV_2D", ...) to widths; the name of a layer counts more, and what is not named has the
            default. `None`: those of the profile, which are as fast as int8.

    Raises:
        InvalidArgumentError: If the profile or a name is unknown, there are no widths, or the profile does not run
            one of them.
        ExportError: If a weight is not finite.
    """
    profile = get_profile(profile)
    return space_of(quantizable_layers(prepare_float(model, pointwise=runs_packed(profile))), profile, bits=bits)


def runs_packed(profile: RuntimeProfile) -> bool:
    """Whether FULLY_CONNECTED may have weights of less than 8 bits; else 1x1 convolutions can stay what they are."""
    return min(profile.allowed("FULLY_CONNECTED")) < 8


def space_of(layers: Sequence[QuantizableLayer], profile: RuntimeProfile, *, bits: Bits | None = None) -> BitSpace:
    """The space over given layers; see `bit_space`."""
    if isinstance(bits, Mapping):
        known = {*WEIGHTED, *(layer.name for layer in layers)}
        for name in bits:
            if name not in known:
                raise InvalidArgumentError(
                    f"`bits` must name layers or operations of {sorted(known)}. Received: {name!r}"
                )
    decisions = []
    for layer in layers:
        options = _options(layer, profile, bits)
        if not options:
            raise InvalidArgumentError(f"Every layer needs at least one width. Received: bits={bits}")
        for width in options:
            profile.check(layer.op, width)
        decisions.append(Decision(layer.name, options, default=options[-1]))
    return BitSpace(decisions, layers=layers, profile=profile)


def _options(layer: QuantizableLayer, profile: RuntimeProfile, bits: Bits | None) -> tuple[int, ...]:
    default = profile.weight_bits(layer.op)
    if isinstance(bits, Mapping):
        default = tuple(bits.get(layer.name, bits.get(layer.op, default)))
    elif bits is not None:
        default = tuple(bits)
    return tuple(sorted(set(default)))


def _activation_bits(weight_bits: int) -> int:
    return ACTIVATION_BITS if weight_bits <= ACTIVATION_BITS else FLOAT_BITS
