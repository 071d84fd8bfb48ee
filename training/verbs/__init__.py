"""The verbs of ``python -m training``: each parses, calls, and answers; the work is in the modules they call."""

PROGRAM = "python -m training"
