"""Derivation: evaluate what a policy draws once shared weights are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.policies import Policy
from automl_keras.tuners.strategy import Objective, Strategy


class DerivationStrategy(Strategy):
    """Proposes draws of a policy; the best of them is the result (Pham et al., ICML 2018, section 2.2).

    The policy does not learn any more: its accuracies were those of minibatches, these are of all validation images.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`.
        policy: Learns while the supernet is trained, before anything is proposed.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        policy: Policy,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        self.policy = policy

    def describe(self) -> dict[str, Any]:
        """As `Strategy.describe`, and the policy."""
        return {**super().describe(), "policy": self.policy.describe()}

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A draw of the policy, or one more uniform if that is known already."""
        drafts = self.policy.drafts(rng)
        return next(filter(self.is_allowed, drafts), drafts[-1])
