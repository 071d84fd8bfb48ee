"""The command ``benchmarks.replay``."""
