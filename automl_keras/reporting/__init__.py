"""Progress, tables and figures from plain results."""

from automl_keras.reporting.lines import LineReporter
from automl_keras.reporting.live import LiveReporter
from automl_keras.reporting.plots import pareto_front, plot_evaluations
from automl_keras.reporting.progress import NullReporter, ProgressReporter, make_reporter
from automl_keras.reporting.stages import Stage, TimedReporter, stages_text
from automl_keras.reporting.tables import format_table

__all__ = [
    "LineReporter",
    "LiveReporter",
    "NullReporter",
    "ProgressReporter",
    "Stage",
    "TimedReporter",
    "format_table",
    "make_reporter",
    "pareto_front",
    "plot_evaluations",
    "stages_text",
]
