"""What training data and benchmarks have in common: scenes, video bytes, and what videos show."""
