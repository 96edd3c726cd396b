"""Which networks can exist: decisions, spaces and architectures."""

from automl_keras.search_space.architecture import Architecture
from automl_keras.search_space.cell import CellSpace, cell_space
from automl_keras.search_space.decision import Decision, Option
from automl_keras.search_space.image import OPERATIONS, ImageSearchSpace, image_space
from automl_keras.search_space.macro import MacroSearchSpace, macro_space
from automl_keras.search_space.macro_network import MACRO_OPERATIONS, MacroNetworkSpec
from automl_keras.search_space.network import (
    INPUT,
    AddSpec,
    BlockSpec,
    ConvSpec,
    LayerSpec,
    NetworkSpec,
    PlacedLayer,
    PoolSpec,
    StagedNetworkSpec,
    build_network,
)
from automl_keras.search_space.network_space import NetworkSpace, network_space_from_dict
from automl_keras.search_space.scaling import (
    EFFICIENTNET,
    ScalingCoefficients,
    compound_scale,
    largest_phi,
    scaling_candidates,
)
from automl_keras.search_space.space import SearchSpace

__all__ = [
    "EFFICIENTNET",
    "INPUT",
    "MACRO_OPERATIONS",
    "OPERATIONS",
    "AddSpec",
    "Architecture",
    "BlockSpec",
    "CellSpace",
    "ConvSpec",
    "Decision",
    "ImageSearchSpace",
    "LayerSpec",
    "MacroNetworkSpec",
    "MacroSearchSpace",
    "NetworkSpace",
    "NetworkSpec",
    "Option",
    "PlacedLayer",
    "PoolSpec",
    "ScalingCoefficients",
    "SearchSpace",
    "StagedNetworkSpec",
    "build_network",
    "cell_space",
    "compound_scale",
    "image_space",
    "largest_phi",
    "macro_space",
    "network_space_from_dict",
    "scaling_candidates",
]
