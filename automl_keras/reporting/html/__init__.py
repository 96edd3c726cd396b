"""The report: one HTML file that needs nothing else."""

from automl_keras.reporting.html.report import write_report

__all__ = ["write_report"]
