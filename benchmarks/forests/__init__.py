"""Forests and boosted trees on the same folds: ``python -m benchmarks.forests``."""
