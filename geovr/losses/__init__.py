"""One pure function a file, and their weighted sum."""
