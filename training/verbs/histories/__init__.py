"""Parts of ``python -m training history``."""
