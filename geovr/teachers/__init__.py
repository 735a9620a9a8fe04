"""Frozen 3D models, and the oracle, behind one protocol."""
