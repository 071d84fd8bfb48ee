"""What training, serving and monitoring must agree on. Imports nothing else of ours."""

__version__ = "0.1.0"
