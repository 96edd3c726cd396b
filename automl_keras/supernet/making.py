"""Which supernet belongs to which space."""

from __future__ import annotations

from automl_keras.data.info import DatasetInfo
from automl_keras.errors import InvalidTypeError
from automl_keras.search_space import ImageSearchSpace, NetworkSpace
from automl_keras.supernet.image_supernet import ImageSupernet
from automl_keras.supernet.supernet import Supernet

SUPERNETS: dict[type[NetworkSpace], type[Supernet]] = {ImageSearchSpace: ImageSupernet}


def make_supernet(space: NetworkSpace, info: DatasetInfo, *, seed: int = 0) -> Supernet:
    """The supernet of a space, with its initial weights.

    Raises:
        InvalidTypeError: If there is no supernet for such a space.
    """
    for kind, supernet_class in SUPERNETS.items():
        if isinstance(space, kind):
            supernet = supernet_class(space, info, seed=seed)
            supernet.build()
            return supernet
    raise InvalidTypeError(f"`space` must be one of {[kind.__name__ for kind in SUPERNETS]}. Received: space={space!r}")
