"""Commands that measure, one a module: ``python -m benchmarks.NAME``; what some are made of is in folders."""
