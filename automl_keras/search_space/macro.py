"""The macro search space of ENAS: an operation for each layer, and skip connections among the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space.decision import Decision
from automl_keras.search_space.macro_network import MACRO_OPERATIONS, MacroNetworkSpec
from automl_keras.search_space.network_space import NetworkSpace


class MacroSearchSpace(NetworkSpace):
    """Chains of layers with skip connections (Pham et al., ICML 2018, section 2.3).

    Layer `i` has the decisions `layer{i}_operation` and, for every earlier layer `j`, `layer{i}_skip{j}`
    (`False` or `True`): with L layers L + L (L - 1) / 2 in all. The layer runs its operation on the output of the
    layer before and adds the outputs of the layers that are skipped from; BatchNorm follows the sum, also where
    nothing is added, except in layer 0, which has no earlier ones. Each operation begins with a 1x1 convolution
    and ends with ReLU or a pool. After layers L/3 - 1 and 2L/3 - 1 the resolution is halved; earlier outputs that
    are still to be added are reduced along, each with weights of its own. All layers have the same number of
    filters, as in the shared network of the released code: so every network of the space has its place in the
    supernet. (The released code doubles them at each reduction when it trains the final network.)

    Differences from the released code, of its shared network if not said otherwise:
    - Skip connection `j` adds the output of layer `j`, as the paper has it. Released: that of the layer
      before `j`, and for `j` = 0 the stem's; so the input of an operation is never added to its output.
    - The resolution is halved by 2x2 average pooling and a 1x1 convolution (He et al., CVPR 2019, section 4.2).
      Released: two 1x1 convolutions of stride 2, one of them shifted by a pixel ("factorized reduction"), which
      phones run as padding, slicing and concatenation besides. As many weights and multiply-accumulate operations.
    - The stem has a ReLU, and halves images above 24 pixels a side until they are no larger.
    - Separable convolutions have a BatchNorm between their two parts too. It folds away in the file.
    - The last layer is pooled and classified without dropout.

    Args:
        decisions: The decisions, named as above. `macro_space` makes the full set.
        image_shape: `(height, width, channels)`.
        num_classes: Number of outputs.
        num_layers: Number of layers, at least 3.
        num_filters: Channels of every layer.
    """

    kind = "macro"
    sizes = ("num_layers", "num_filters")

    def __init__(
        self,
        decisions: Sequence[Decision],
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        num_layers: int,
        num_filters: int,
    ) -> None:
        super().__init__(decisions, image_shape=image_shape, num_classes=num_classes)
        self.num_layers = num_layers
        self.num_filters = num_filters

    def network_spec(self, architecture: Mapping[str, Any]) -> MacroNetworkSpec:
        """See `NetworkSpace`."""
        chosen = self.canonical(architecture)
        layers = range(self.num_layers)
        return MacroNetworkSpec(
            self.image_shape,
            self.num_classes,
            self.num_filters,
            operations=tuple(str(chosen[f"layer{layer}_operation"]) for layer in layers),
            skips=tuple(tuple(j for j in range(layer) if chosen[f"layer{layer}_skip{j}"]) for layer in layers),
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return {**super().to_dict(), "kind": self.kind}


def macro_space(
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    num_layers: int = 6,
    num_filters: int = 24,
    operations: Sequence[str] = MACRO_OPERATIONS,
) -> MacroSearchSpace:
    """The macro search space. By default it has 1,528,823,808 architectures.

    ```python
    space = macro_space((8, 8, 1), num_classes=10, num_layers=3, num_filters=16)
    assert len(space.names) == 3 + 3  # an operation for each layer, a skip connection for each pair
    ```

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: Number of outputs.
        num_layers: Number of layers. Half of the paper's 12, for networks of some 100 kB.
        num_filters: Channels of every layer. The released code begins with 36.
        operations: What each layer can do. The defaults are the paper's.

    Raises:
        InvalidArgumentError: If the shape has a size below 1, there is no output, there are fewer than 3 layers
            or no filters, or operations are missing, repeated or unknown.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise InvalidArgumentError(f"`image_shape` must be three positive sizes. Received: image_shape={image_shape}")
    limits = {"num_classes": (num_classes, 1), "num_layers": (num_layers, 3), "num_filters": (num_filters, 1)}
    for name, (value, least) in limits.items():
        if value < least:
            raise InvalidArgumentError(f"`{name}` must be at least {least}. Received: {name}={value}")
    if not set(operations) <= set(MACRO_OPERATIONS):
        raise InvalidArgumentError(
            f"`operations` must be some of {MACRO_OPERATIONS}. Received: operations={tuple(operations)}"
        )
    decisions: list[Decision] = []
    last: list[str] = []  # of each layer the last decision: what a controller knows of a layer, it knows then
    for layer in range(num_layers):
        decisions.append(Decision(f"layer{layer}_operation", tuple(operations)))
        decisions += [Decision(f"layer{layer}_skip{j}", (False, True), anchors=(last[j],)) for j in range(layer)]
        last.append(decisions[-1].name)
    return MacroSearchSpace(
        decisions, image_shape=image_shape, num_classes=num_classes, num_layers=num_layers, num_filters=num_filters
    )
