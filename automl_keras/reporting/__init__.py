"""Progress, tables, figures, reports and model cards from plain results."""

from automl_keras.reporting.file_layers import FileLayer, read_layers
from automl_keras.reporting.html import write_report
from automl_keras.reporting.lines import LineReporter
from automl_keras.reporting.live import LiveReporter
from automl_keras.reporting.model_card import write_model_card
from automl_keras.reporting.plot_answers import (
    plot_calibration,
    plot_class_scores,
    plot_confusion_matrix,
    plot_mistakes,
    plot_samples,
)
from automl_keras.reporting.plot_layers import plot_bits, plot_network
from automl_keras.reporting.plot_search import plot_stages, plot_trials
from automl_keras.reporting.plot_training import plot_training
from automl_keras.reporting.plots import pareto_front, plot_evaluations
from automl_keras.reporting.progress import NullReporter, ProgressReporter, make_reporter
from automl_keras.reporting.repeating import fit_code
from automl_keras.reporting.results import Answers, Predictions, SampleImages, SearchResults
from automl_keras.reporting.stages import Stage, TimedReporter, stages_text
from automl_keras.reporting.tables import format_table
from automl_keras.reporting.tensorboard import write_tensorboard

__all__ = [
    "Answers",
    "FileLayer",
    "LineReporter",
    "LiveReporter",
    "NullReporter",
    "Predictions",
    "ProgressReporter",
    "SampleImages",
    "SearchResults",
    "Stage",
    "TimedReporter",
    "fit_code",
    "format_table",
    "make_reporter",
    "pareto_front",
    "plot_bits",
    "plot_calibration",
    "plot_class_scores",
    "plot_confusion_matrix",
    "plot_evaluations",
    "plot_mistakes",
    "plot_network",
    "plot_samples",
    "plot_stages",
    "plot_training",
    "plot_trials",
    "read_layers",
    "stages_text",
    "write_model_card",
    "write_report",
    "write_tensorboard",
]
