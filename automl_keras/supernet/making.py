"""Which supernet belongs to which space."""

from __future__ import annotations

from typing import Any

from automl_keras.data.info import DatasetInfo
from automl_keras.errors import InvalidTypeError
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace, NetworkSpace
from automl_keras.supernet.image_supernet import ImageSupernet
from automl_keras.supernet.macro_supernet import MacroSupernet
from automl_keras.supernet.supernet import Supernet

SUPERNETS: dict[type[NetworkSpace], type[Supernet]] = {
    ImageSearchSpace: ImageSupernet,
    MacroSearchSpace: MacroSupernet,
}


def make_supernet(space: NetworkSpace, info: DatasetInfo, **settings: Any) -> Supernet:
    """The supernet of a space, with its initial weights.

    Args:
        space: The networks.
        info: Pixel statistics for the normalisation.
        **settings: Further arguments of the supernet's class, such as `seed`.

    Raises:
        InvalidTypeError: If there is no supernet for such a space.
    """
    for kind, supernet_class in SUPERNETS.items():
        if isinstance(space, kind):
            supernet = supernet_class(space, info, **settings)
            supernet.build()
            return supernet
    raise InvalidTypeError(f"`space` must be one of {[kind.__name__ for kind in SUPERNETS]}. Received: space={space!r}")
