"""Scorer profiles: each equals one upstream's code to the last bit."""
