"""Looking at clips, targets and checkpoints: pictures, numbers, point clouds."""
