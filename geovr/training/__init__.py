"""The loop, the optimiser and checkpoints."""
