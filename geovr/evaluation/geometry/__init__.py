"""Geometry from the heads against ground truth: depth, camera path and scale."""
