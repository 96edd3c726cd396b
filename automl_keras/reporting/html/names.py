"""What metrics and costs are called on the page."""

from automl_keras.data import Regression
from automl_keras.reporting.html.elements import number, percent
from automl_keras.reporting.plots import COST_LABELS
from automl_keras.reporting.results import SearchResults


def metric_name(name: str) -> str:
    """A metric or a cost in words, without its unit."""
    if name in COST_LABELS:
        return COST_LABELS[name][0]
    return name.replace("val_", "validation ").replace("_", " ").capitalize()


def cost_heading(name: str) -> str:
    """A cost with its unit, if it has one."""
    label, unit = COST_LABELS[name]
    return f"{label} ({unit})" if unit else label


def score_text(results: SearchResults, score: float | None) -> str:
    """A score of networks as people read it: a percentage, but of R^2; a dash where it is not known."""
    return number(score) if isinstance(results.info.task, Regression) else percent(score)
