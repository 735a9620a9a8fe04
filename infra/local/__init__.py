"""PostgreSQL, S3 and an MLflow server on this machine's loopback: `python -m infra.local up`."""
