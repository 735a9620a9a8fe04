"""`geovr compare`: two models' answers, or a model's and its baselines', on the same questions."""
