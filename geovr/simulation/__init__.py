"""Rooms rendered to real video files, with exact ground truth and questions about them."""
