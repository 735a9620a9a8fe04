"""Measurements; each is run by hand with python -m."""
