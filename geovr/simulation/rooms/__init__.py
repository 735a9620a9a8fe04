"""Furnished rooms: what stands in them, what a camera sees of them, and questions about that."""
