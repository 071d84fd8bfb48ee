"""Histories of files: the windows of every row, and the states of all keys at the end. It does not ship."""
