"""The image that components name until `compile --images` gives a real one by its digest."""

IMAGE = "geovr/cpu@sha256:" + "0" * 64
