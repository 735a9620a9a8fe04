"""Arrays as images inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

MOST_WIDTH = 240
"""Pixels; a page of many clips stays below a few megabytes."""


def photo(frame_HW3: np.ndarray) -> str:
    """A frame as a data URI, JPEG."""
    return _uri(_fitted(Image.fromarray(frame_HW3), Image.Resampling.LANCZOS), "JPEG")


def drawing(colour_HW3: np.ndarray) -> str:
    """A coloured map as a data URI, PNG: no pixel is changed but by making it smaller."""
    return _uri(_fitted(Image.fromarray(colour_HW3), Image.Resampling.NEAREST), "PNG")


def _fitted(image: Image.Image, how: Image.Resampling) -> Image.Image:
    if image.width <= MOST_WIDTH:
        return image
    height = max(1, round(image.height * MOST_WIDTH / image.width))
    return image.resize((MOST_WIDTH, height), how)


def _uri(image: Image.Image, kind: str) -> str:
    data = io.BytesIO()
    options = {"quality": 88} if kind == "JPEG" else {"optimize": True}
    image.save(data, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"
