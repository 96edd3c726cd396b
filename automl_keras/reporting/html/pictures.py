"""Images of the data as PNG inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from automl_keras.reporting.html.elements import Markup, element
from automl_keras.reporting.pixels import as_bytes

LARGEST_SIDE = 96  # pixels that are kept of an image


def picture(image: np.ndarray, pixel_range: tuple[float, float], alt: str) -> Markup:
    """An image of the data, at most 96 pixels a side.

    Args:
        image: `(height, width, channels)`, in the user's units.
        pixel_range: `(smallest, largest)` value, shown as black and white.
        alt: What it shows.
    """
    shown = Image.fromarray(as_bytes(image, pixel_range))
    shown.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    file = io.BytesIO()
    shown.save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return element("img", src=f"data:image/png;base64,{data}", alt=alt, width=shown.width, height=shown.height)


def gallery(items: list[tuple[Markup, object]]) -> Markup:
    """Images with a line or two below each.

    Args:
        items: Image and text.
    """
    shown = [element("li", image, element("span", text)) for image, text in items]
    return element("ul", *shown, class_="gallery")
