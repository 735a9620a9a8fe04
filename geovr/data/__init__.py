"""Video, questions, clips, targets and batches: everything a model reads."""
