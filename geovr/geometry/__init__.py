"""Pure functions on cameras, rotations and depth."""
