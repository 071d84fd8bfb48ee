"""``python -m monitoring VERB``."""

import argparse
import sys

from fraud import command
from monitoring.verbs import PROGRAM, database, drift, labels, webhook


def parser() -> argparse.ArgumentParser:
    """All verbs with their help."""
    return command.front(
        PROGRAM, "Watch a served fraud model, and act on what is seen.", (drift, labels, database, webhook)
    )


def main() -> int:
    """Run one verb; the exit code."""
    return command.main(parser())


if __name__ == "__main__":
    sys.exit(main())
