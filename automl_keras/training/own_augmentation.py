"""`OwnAugmenter`: epochs of training images changed by the user's own layer or function."""

from __future__ import annotations

import functools
import hashlib
import json
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from automl_keras.data import Images
from automl_keras.errors import InvalidArgumentError, InvalidTypeError

EPOCH_STREAM = 203  # keeps the generator apart from others made from the same seed
BATCH = 250  # images given to the user's function at once
TRIED = 8  # images on which it is tried before the training

# "auto" for the built-in augmentation, `None` for none.
Augmentation: TypeAlias = Literal["auto"] | keras.layers.Layer | Callable[[np.ndarray, np.random.Generator], Any] | None


class OwnAugmenter:
    """Makes epochs: all images in random order, changed by a Keras layer or a function; for `None` as they are.

    Epoch `index` depends on nothing but the arguments and `index`, if the function draws from the generator that it is
    given alone. The seeds in a Keras layer are set for each batch.

    Args:
        images: `(n, height, width, channels)`, any type; kept by reference, never changed.
        augmentation: A layer, called with float32 images and `training=True`; or a function of float32 images and a
            NumPy generator. Either returns as many images of the same shape.
        seed: Seed of the order and of all random choices.
    """

    def __init__(self, images: Images, augmentation: Any, *, seed: int) -> None:
        self._images = images
        self._augmentation = augmentation
        self._seed = seed

    def blocks(self, index: int, block_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Epoch `index` in pieces of `block_size` images, the last one smaller: images, and the indices they are of."""
        order = np.random.default_rng((self._seed, index, EPOCH_STREAM)).permutation(len(self._images))
        for start in range(0, len(order), block_size):
            part = order[start : start + block_size]
            yield self._augmented(part, np.random.default_rng((self._seed, index, start, EPOCH_STREAM))), part

    def _augmented(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = self._images[order]
        if self._augmentation is None:
            return images
        for start in range(0, len(order), BATCH):
            part = slice(start, start + BATCH)
            images[part] = as_pixels(augmented(self._augmentation, images[part], rng), images.dtype)
        return images


def augmented(augmentation: Any, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the user's layer or function makes of images, as float32.

    Raises:
        InvalidArgumentError: If it is of another shape, or not finite.
    """
    pixels = images.astype(np.float32)
    if isinstance(augmentation, keras.layers.Layer):
        weights = {id(weight) for weight in augmentation.weights}
        for variable in augmentation.variables:
            if id(variable) not in weights:  # what is left is the state of random generators
                variable.assign(rng.integers(0, 2**31, variable.shape))
        changed = augmentation(pixels, training=True)
    else:
        changed = augmentation(pixels, rng)
    changed = np.asarray(changed, dtype=np.float32)
    if changed.shape != images.shape or not np.isfinite(changed).all():
        raise InvalidArgumentError(
            f"`augmentation` must return finite images of the shape that it is given, {images.shape}. "
            f"Received: shape={changed.shape}, finite={bool(np.isfinite(changed).all())}"
        )
    return changed


def as_pixels(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float images in the type of the training images; bytes are rounded, and cut off at 0 and 255."""
    return np.clip(np.rint(images), 0, 255).astype(dtype) if dtype == np.uint8 else images.astype(dtype)


def check_augmentation(augmentation: Any) -> Augmentation:
    """Refuse what is no augmentation.

    Raises:
        InvalidTypeError: If it is neither "auto" nor `None`, a layer or a function.
    """
    if augmentation is None or augmentation == "auto" or callable(augmentation):
        return augmentation
    raise InvalidTypeError(
        "`augmentation` must be 'auto', None, a Keras layer, or a function of images and a NumPy generator. "
        f"Received: augmentation={augmentation!r}"
    )


def try_augmentation(augmentation: Augmentation, images: Images) -> None:
    """Try it on a few images.

    Raises:
        InvalidArgumentError: If what it returns cannot be trained on.
    """
    if augmentation is not None and not isinstance(augmentation, str):
        augmented(augmentation, images[:TRIED], np.random.default_rng(0))


def augmentation_identity(augmentation: Augmentation) -> str | None:
    """What must be the same for a project to be that of this augmentation.

    Of a function its name, code and bound arguments, of another callable its class alone.
    """
    if augmentation is None or isinstance(augmentation, str):
        return augmentation
    if isinstance(augmentation, keras.layers.Layer):
        return layer_identity(augmentation)
    if isinstance(augmentation, functools.partial):
        bound = f"{augmentation.args!r} {sorted(augmentation.keywords.items())!r}"
        return f"{augmentation_identity(augmentation.func)} {bound}"
    kind = augmentation if hasattr(augmentation, "__qualname__") else type(augmentation)
    code = getattr(augmentation, "__code__", None)
    return f"{kind.__module__}.{kind.__qualname__}" + ("" if code is None else f" {_digest(code)}")


def layer_identity(layer: keras.layers.Layer) -> str:
    """Kind and configuration of a layer, as text that does not depend on the process."""
    config = json.dumps(_without_names(layer.get_config()), sort_keys=True, default=_as_text)
    return f"{type(layer).__name__} {config}"


def _digest(code: types.CodeType) -> str:
    """Of what a function does, without the code of functions inside it."""
    constants = [value for value in code.co_consts if not isinstance(value, types.CodeType)]
    return hashlib.sha256(code.co_code + repr((constants, code.co_names)).encode()).hexdigest()[:16]


def _as_text(value: Any) -> str:
    """Of what JSON cannot hold: arrays whole, other things by their class, as their texts may have addresses."""
    return str(np.asarray(value).tolist()) if hasattr(value, "shape") else type(value).__qualname__


def _without_names(config: Any) -> Any:
    """A configuration without the names of layers, which number those made before."""
    if isinstance(config, dict):
        return {key: _without_names(value) for key, value in config.items() if key != "name"}
    return [_without_names(item) for item in config] if isinstance(config, list | tuple) else config
