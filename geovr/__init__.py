"""GeoVR: train multimodal language models to understand space from plain video."""

__version__ = "0.1.0"
