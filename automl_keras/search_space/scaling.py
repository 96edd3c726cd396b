"""Compound scaling: a network found at small size, made larger in depth, width and resolution together.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, section 3.3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError
from automl_keras.search_space.architecture import Architecture
from automl_keras.search_space.decision import Decision, Option
from automl_keras.search_space.image import ImageSearchSpace
from automl_keras.search_space.network import NetworkSpec

DIVISOR = 8  # channels are multiples of it
DIGITS = 9  # a product such as 10 * 1.1 is 11, not 11.000000000000002


@dataclass(frozen=True)
class ScalingCoefficients:
    """By how much depth, width and resolution grow when the compound coefficient phi grows by 1 (equation 3).

    Attributes:
        alpha: Factor of the number of blocks.
        beta: Factor of the number of channels.
        gamma: Factor of the image's height and width.

    Raises:
        InvalidArgumentError: If one is not finite or below 1.
    """

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 1):
                raise InvalidArgumentError(f"`{name}` must be finite and at least 1. Received: {name}={value!r}")

    @property
    def macs_factor(self) -> float:
        """By how much multiply-accumulate operations grow with each step of phi, before rounding; about 2."""
        return self.alpha * self.beta**2 * self.gamma**2


EFFICIENTNET = ScalingCoefficients(1.2, 1.1, 1.15)  # found for EfficientNet-B0


def compound_scale(
    space: ImageSearchSpace,
    architecture: Mapping[str, Any],
    phi: float,
    *,
    coefficients: ScalingCoefficients = EFFICIENTNET,
) -> tuple[ImageSearchSpace, Architecture]:
    """The architecture with depth times alpha^phi, width times beta^phi and resolution times gamma^phi.

    The options of every depth and width are scaled alike, so the result is an ordinary architecture of an
    ordinary space, and 0 changes nothing. Blocks are rounded up and channels to multiples of 8, as in the
    released code (`scaled_depth`, `scaled_width`); height and width are rounded to whole pixels. Rounding up
    makes two blocks of one at any phi above 0, so go by the real cost (`largest_phi`). Images have to be
    resized to the new `space.image_shape`.

    Args:
        space: The image space that the architecture is of.
        architecture: What to scale.
        phi: Compound coefficient, 0 or above. Costs grow about `coefficients.macs_factor ** phi` fold.
        coefficients: EfficientNet's, unless better ones were found (`scaling_candidates`).

    Returns:
        The space of the scaled options, and the scaled architecture.

    Raises:
        InvalidArgumentError: If `phi` is negative or not finite.
        InvalidArchitectureError: If the architecture is not of the space.
    """
    if not (math.isfinite(phi) and phi >= 0):
        raise InvalidArgumentError(f"`phi` must be finite and not negative. Received: phi={phi!r}")
    chosen = space.canonical(architecture)
    if phi == 0:
        return space, chosen
    depth, width, resolution = (factor**phi for factor in (coefficients.alpha, coefficients.beta, coefficients.gamma))

    def scaled(name: str, option: Option) -> Option:
        if name.endswith("_depth"):
            return scaled_depth(int(option), depth)
        return scaled_width(int(option), width) if name.endswith("_width") else option

    decisions = [
        Decision(
            decision.name,
            tuple(dict.fromkeys(scaled(decision.name, option) for option in decision.options)),
            None if decision.default is None else scaled(decision.name, decision.default),
            decision.parent,
        )
        for decision in space.decisions
    ]
    height, image_width, channels = space.image_shape
    larger = type(space)(
        decisions,
        image_shape=(_rounded(height * resolution), _rounded(image_width * resolution), channels),
        num_classes=space.num_classes,
        num_stages=space.num_stages,
    )
    return larger, larger.canonical({name: scaled(name, option) for name, option in chosen.items()})


def scaled_width(channels: int, factor: float) -> int:
    """Channels times a factor, rounded to a multiple of 8 that is not below nine tenths of the product.

    The rule of the released code (`round_filters`), which took it from MobileNet. A factor of 1 changes nothing.
    """
    if factor == 1:
        return channels
    exact = round(channels * factor, DIGITS)
    rounded = max(DIVISOR, int(exact + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * exact else rounded


def scaled_depth(blocks: int, factor: float) -> int:
    """Blocks times a factor, rounded up: the rule of the released code (`round_repeats`)."""
    return math.ceil(round(blocks * factor, DIGITS))


def scaling_candidates(
    *, step: float = 0.05, macs_factor: float = 2.0, tolerance: float = 0.1
) -> tuple[ScalingCoefficients, ...]:
    """All coefficients on a grid with alpha * beta^2 * gamma^2 close to 2 (equation 3).

    The first of the paper's two steps: train the small network scaled by each at phi = 1 and keep the best. The second
    keeps them and raises phi. The paper does not say its grid; the defaults hold the result that it names.

    Args:
        step: Of the grid, which begins at 1.
        macs_factor: What the product is to be.
        tolerance: By how much the product may differ.

    Raises:
        InvalidArgumentError: If `step` is not above 0, `macs_factor` is below 1 or `tolerance` is negative.
    """
    if not step > 0 or not macs_factor >= 1 or not tolerance >= 0:
        raise InvalidArgumentError(
            "`step` must be above 0, `macs_factor` at least 1 and `tolerance` not negative. "
            f"Received: step={step!r}, macs_factor={macs_factor!r}, tolerance={tolerance!r}"
        )
    largest = macs_factor + tolerance
    grid = [round(1 + index * step, DIGITS) for index in range(int((largest - 1) / step) + 1)]
    return tuple(
        ScalingCoefficients(alpha, beta, gamma)
        for alpha, beta, gamma in itertools.product(grid, repeat=3)
        if round(abs(alpha * beta**2 * gamma**2 - macs_factor), DIGITS) <= tolerance
    )


def largest_phi(
    space: ImageSearchSpace,
    architecture: Mapping[str, Any],
    allows: Callable[[NetworkSpec], bool],
    *,
    coefficients: ScalingCoefficients = EFFICIENTNET,
    step: float = 0.01,
    limit: float = 10.0,
) -> float:
    """The largest phi whose network a budget allows.

    Sizes never shrink as phi grows, nor do costs, so bisection finds it with few questions:

    ```python
    phi = largest_phi(space, architecture, lambda spec: budget.allows(network_cost(spec)))
    ```

    Args:
        space: The image space that the architecture is of.
        architecture: What to scale.
        allows: Whether a network may be used; must not allow one that is larger than one it refuses.
        coefficients: As in `compound_scale`.
        step: The result is a multiple of it.
        limit: The largest phi to try; 10 is about a thousandfold cost.

    Raises:
        InvalidArgumentError: If `step` or `limit` is not positive.
        InfeasibleBudgetError: If not even the architecture itself is allowed.
    """
    if not (step > 0 and limit > 0):
        raise InvalidArgumentError(f"`step` and `limit` must be positive. Received: step={step!r}, limit={limit!r}")

    def allowed(steps: int) -> bool:
        phi = round(steps * step, DIGITS)
        larger, scaled = compound_scale(space, architecture, phi, coefficients=coefficients)
        return allows(larger.network_spec(scaled))

    if not allowed(0):
        raise InfeasibleBudgetError(
            f"The architecture itself must be allowed. Received: architecture={dict(architecture)}"
        )
    low, high = 0, int(round(limit / step, DIGITS)) + 1  # allowed; not allowed, or not to be tried
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return round(low * step, DIGITS)


def _rounded(size: float) -> int:
    return round(round(size, DIGITS))
