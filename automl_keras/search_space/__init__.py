"""Which networks can exist: decisions, spaces and architectures."""

from automl_keras.search_space.architecture import Architecture
from automl_keras.search_space.cell import CellSpace, cell_space
from automl_keras.search_space.decision import Decision, Option
from automl_keras.search_space.image import ImageSearchSpace, image_space
from automl_keras.search_space.network import BlockSpec, ConvSpec, NetworkSpec, build_network
from automl_keras.search_space.network_space import NetworkSpace
from automl_keras.search_space.space import SearchSpace

__all__ = [
    "Architecture",
    "BlockSpec",
    "CellSpace",
    "ConvSpec",
    "Decision",
    "ImageSearchSpace",
    "NetworkSpace",
    "NetworkSpec",
    "Option",
    "SearchSpace",
    "build_network",
    "cell_space",
    "image_space",
]
