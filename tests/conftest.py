import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # figures need no display

import automl_keras  # noqa: F401 - before any test imports TensorFlow, so that it starts quietly
from tests.clock import Clock


@pytest.fixture(autouse=True)
def seeded_keras() -> None:
    """Layers made without a seed start with the same weights in every run."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is kept in the user's cache directory, nor taken from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()
