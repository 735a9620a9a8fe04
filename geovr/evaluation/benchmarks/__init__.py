"""Published benchmarks of spatial understanding: where they come from, how they are read."""
