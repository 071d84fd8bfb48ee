"""``python -m training VERB``."""

import argparse
import sys

from fraud import command
from training.verbs import (
    PROGRAM,
    bucket,
    choice,
    compare,
    data,
    doctor,
    history,
    images,
    models,
    releases,
    sample,
    schema,
    simulate,
    summary,
    tune,
)

VERBS = (
    models,
    tune,
    compare,
    choice,
    releases,
    data,
    history,
    schema,
    sample,
    simulate,
    images,
    summary,
    bucket,
    doctor,
)


def parser() -> argparse.ArgumentParser:
    """All verbs with their help."""
    return command.front(PROGRAM, "Train, judge, publish and serve fraud models.", VERBS)


def main() -> int:
    """Run one verb; the exit code."""
    return command.main(parser())


if __name__ == "__main__":
    sys.exit(main())
