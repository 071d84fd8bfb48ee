"""Applications that run in contestants' processes, each in the environment of its contestant."""
