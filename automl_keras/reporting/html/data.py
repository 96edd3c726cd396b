"""The part of the report about the data."""

from __future__ import annotations

import numpy as np

from automl_keras.reporting.diagnostics import sample_places
from automl_keras.reporting.html.elements import TIMES, Markup, element, number, number_cell, paragraph, section, table
from automl_keras.reporting.html.pictures import gallery, picture
from automl_keras.reporting.results import SampleImages, SearchResults

NUM_SAMPLES = 24


def data_section(results: SearchResults, samples: SampleImages | None) -> Markup:
    """What the network has learnt from, and some of the images."""
    info = results.info
    height, width, channels = info.image_shape
    facts = [
        ("Training images", number(info.num_train)),
        ("Validation images", number(info.num_validation)),
        ("Classes", number(info.num_classes)),
        ("Image", f"{height} {TIMES} {width} pixels, {channels} {'channel' if channels == 1 else 'channels'}"),
        ("Pixels", f"{info.input_dtype}, from {info.pixel_range[0]:g} to {info.pixel_range[1]:g}"),
        ("Mean of each channel", ", ".join(f"{value:.4g}" for value in info.pixel_mean)),
        ("Standard deviation", ", ".join(f"{value:.4g}" for value in info.pixel_std)),
    ]
    listed = element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in facts), class_="facts"
    )
    return section("data", "Data", listed, *_pictures(results, samples))


def _pictures(results: SearchResults, samples: SampleImages | None) -> list[Markup]:
    if samples is None:
        return [paragraph("No images are kept with these results, so none are shown.", class_="note")]
    classes = results.classes
    places = sample_places(samples.codes, NUM_SAMPLES)
    images = samples.images[places]
    items: list[tuple[Markup, object]] = [
        (picture(image, results.info.pixel_range, f"An image of class {classes[code]}"), classes[code])
        for image, code in zip(images, samples.codes[places].tolist(), strict=True)
    ]
    counts = np.bincount(samples.codes, minlength=len(classes)).tolist()
    rows = [(name, number_cell(count)) for name, count in zip(classes, counts, strict=True)]
    counted = table(("Class", "Images"), rows, f"The {number(len(samples.codes))} images that these are from")
    return [gallery(items), element("details", element("summary", "Images of each class"), counted)]
