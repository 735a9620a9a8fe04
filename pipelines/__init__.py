"""The Kubeflow pipeline, and `python -m pipelines compile|run`."""
