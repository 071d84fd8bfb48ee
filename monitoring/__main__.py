"""``python -m monitoring VERB``."""

import argparse
import os
import sys

from fraud import command
from monitoring.verbs import drift, labels, webhook

PROGRAM = "python -m monitoring"
VERBS = (drift, labels, webhook)


def main() -> int:
    """Run one verb; the exit code."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    return command.main(parser())


def parser() -> argparse.ArgumentParser:
    """All verbs with their help."""
    top = argparse.ArgumentParser(prog=PROGRAM, description="Watch a served fraud model, and act on what is seen.")
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for module in VERBS:
        module.add_to(verbs)
    return top


if __name__ == "__main__":
    sys.exit(main())
