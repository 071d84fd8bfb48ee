"""The verbs of ``python -m fraud``: each parses, calls, and answers; the work is in the modules they call."""

PROGRAM = "python -m fraud"
