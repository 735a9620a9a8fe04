"""Scorers, baselines, statistics and answers."""
