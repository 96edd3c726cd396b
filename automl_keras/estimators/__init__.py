"""Estimators that wire the stages: data in, measured `.tflite` out."""

from automl_keras.estimators.image_classifier import ImageClassifier

__all__ = ["ImageClassifier"]
