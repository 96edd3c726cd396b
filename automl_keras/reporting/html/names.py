"""What metrics and costs are called on the page."""

from automl_keras.reporting.plots import COST_LABELS


def metric_name(name: str) -> str:
    """A metric or a cost in words, without its unit."""
    if name in COST_LABELS:
        return COST_LABELS[name][0]
    return name.replace("val_", "validation ").replace("_", " ").capitalize()


def cost_heading(name: str) -> str:
    """A cost with its unit, if it has one."""
    label, unit = COST_LABELS[name]
    return f"{label} ({unit})" if unit else label
