"""The Kubeflow pipeline: compiled, run here, or sent to a cluster (`python -m pipelines`)."""

NAME = "geovr-training"
DESCRIPTION = "Video to registered model, gated between stages."
