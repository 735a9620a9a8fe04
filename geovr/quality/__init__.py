"""The gates: suites as readable code, run through Great Expectations."""
