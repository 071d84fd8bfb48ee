"""What drift monitoring notices, measured on real rows: ``python -m benchmarks.drift``."""
