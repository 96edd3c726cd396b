"""Estimators that wire the stages: data in, measured `.tflite` out."""

from automl_keras.estimators.image_classifier import ImageClassifier
from automl_keras.estimators.image_regressor import ImageRegressor
from automl_keras.estimators.transfer.backbone import Backbone

__all__ = ["Backbone", "ImageClassifier", "ImageRegressor"]
