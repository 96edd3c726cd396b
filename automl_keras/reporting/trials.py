"""Which evaluations to show as the search, and which beside its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_keras.reporting.plots import FRONT_SOURCES

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation
    from automl_keras.reporting.results import SearchResults


def searched(evaluations: Sequence[Evaluation], objective: str) -> tuple[str, list[Evaluation]]:
    """The networks that were compared with each other: those of one source that did not fail, in their order.

    Args:
        evaluations: Everything that was evaluated.
        objective: The metric that was improved.

    Returns:
        The source, shared weights before all others, and the evaluations; none if all failed.
    """
    known = [evaluation for evaluation in evaluations if not evaluation.failed(objective)]
    for source in FRONT_SOURCES:
        chosen = [evaluation for evaluation in known if evaluation.source == source]
        if chosen:
            return source, chosen
    return FRONT_SOURCES[0], []


def baselines(results: SearchResults) -> list[tuple[str, Evaluation]]:
    """What the exported network has to be better than, with a name for each.

    All other files, and of the networks that were only searched the best one, the default network and the exported
    one itself, so that one sees what it was chosen for.
    """
    plan = results.plan or {}
    named = [("Exported", results.best)]
    files = [evaluation for evaluation in results.evaluations if evaluation.source == "file"]
    for place, evaluation in enumerate(files, start=1):
        if evaluation != results.best:
            is_default = evaluation.architecture.to_dict() == plan.get("default")
            name = "First small model" if place == 1 and plan else f"File {place}"  # every planned fit begins with it
            named.append((f"{name}, the default network" if is_default else name, evaluation))
    source, trials = searched(results.evaluations, results.objective)
    if source == "file" or not trials:
        return named
    named.append(("Best of the search", max(trials, key=lambda trial: trial.metrics[results.objective])))
    for name, architecture in (
        ("Exported, in the search", results.best.architecture.to_dict()),
        ("Default network, in the search", plan.get("default")),
    ):
        same = [trial for trial in trials if trial.architecture.to_dict() == architecture]
        named += [(name, trial) for trial in same[-1:]]
    return named
