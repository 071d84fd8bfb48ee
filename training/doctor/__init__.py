"""What is broken, or disagrees: each part is looked at by itself, and nothing is written."""
