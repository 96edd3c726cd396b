"""The file a phone runs: conversion to `.tflite`, int8 quantization, measurement by LiteRT."""

from automl_keras.export.convert import to_float_tflite
from automl_keras.export.exporter import export_float, export_int8
from automl_keras.export.quantize import calibrate, int8_recipe, lift_dead_channels, quantize
from automl_keras.export.report import TFLiteReport, measure_file
from automl_keras.export.runtime import TFLiteModel, measure_latency, median_latency, runtime_name

__all__ = [
    "TFLiteModel",
    "TFLiteReport",
    "calibrate",
    "export_float",
    "export_int8",
    "int8_recipe",
    "lift_dead_channels",
    "measure_file",
    "measure_latency",
    "median_latency",
    "quantize",
    "runtime_name",
    "to_float_tflite",
]
