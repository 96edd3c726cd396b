"""The part of the report about the data."""

from __future__ import annotations

import numpy as np

from automl_keras.data import Classification, DatasetInfo, MultiLabel, Regression
from automl_keras.reporting.diagnostics import sample_places
from automl_keras.reporting.html.elements import TIMES, Markup, element, number, number_cell, paragraph, section, table
from automl_keras.reporting.html.pictures import gallery, picture
from automl_keras.reporting.results import SampleImages, SearchResults, target_text

NUM_SAMPLES = 24


def data_section(results: SearchResults, samples: SampleImages | None) -> Markup:
    """What the network has learnt from, and some of the images."""
    info = results.info
    height, width, channels = info.image_shape
    facts = [
        ("Training images", number(info.num_train)),
        ("Validation images", number(info.num_validation)),
        (_outputs(info), number(info.num_outputs)),
        ("Image", f"{height} {TIMES} {width} pixels, {channels} {'channel' if channels == 1 else 'channels'}"),
        ("Pixels", f"{info.input_dtype}, from {info.pixel_range[0]:g} to {info.pixel_range[1]:g}"),
        ("Mean of each channel", ", ".join(f"{value:.4g}" for value in info.pixel_mean)),
        ("Standard deviation", ", ".join(f"{value:.4g}" for value in info.pixel_std)),
    ]
    listed = element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in facts), class_="facts"
    )
    return section("data", "Data", listed, *_pictures(results, samples))


def _outputs(info: DatasetInfo) -> str:
    if isinstance(info.task, Regression):
        return "Values of an image"
    return "Labels" if isinstance(info.task, MultiLabel) else "Classes"


def _pictures(results: SearchResults, samples: SampleImages | None) -> list[Markup]:
    if samples is None:
        return [paragraph("No images are kept with these results, so none are shown.", class_="note")]
    info, classes = results.info, results.classes
    places = sample_places(info.task.strata(samples.codes), NUM_SAMPLES)
    items: list[tuple[Markup, object]] = []
    for image, target in zip(samples.images[places], samples.codes[places], strict=True):
        words = target_text(info, target)
        of_class = "An image of class" if isinstance(info.task, Classification) else "An image with"
        items.append((picture(image, info.pixel_range, f"{of_class} {words}"), words))
    if isinstance(info.task, Regression):
        return [gallery(items)]
    if isinstance(info.task, MultiLabel):
        counts = samples.codes.sum(axis=0).astype(int).tolist()
    else:
        counts = np.bincount(samples.codes, minlength=len(classes)).tolist()
    name = "label" if isinstance(info.task, MultiLabel) else "class"
    rows = [(label, number_cell(count)) for label, count in zip(classes, counts, strict=True)]
    caption = f"The {number(len(samples.codes))} images that these are from"
    counted = table((name.capitalize(), "Images"), rows, caption)
    return [gallery(items), element("details", element("summary", f"Images of each {name}"), counted)]
