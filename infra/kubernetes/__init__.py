"""Manifests for a cluster, and kubectl to render them with."""
