"""Furniture libraries of Sweet Home 3D: archives, their catalogue, and the models in them."""
