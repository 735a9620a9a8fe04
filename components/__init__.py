"""KFP components: one file a stage, thin."""
