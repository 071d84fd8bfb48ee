"""``python -m fraud VERB``."""

import argparse
import sys

from fraud import command
from fraud.verbs import PROGRAM, key, score


def parser() -> argparse.ArgumentParser:
    """All verbs with their help."""
    return command.front(PROGRAM, "Use a stored fraud model, and make keys for its service.", (score, key))


def main() -> int:
    """Run one verb; the exit code."""
    return command.main(parser())


if __name__ == "__main__":
    sys.exit(main())
