"""``python -m training VERB``."""

import argparse
import os
import sys

from fraud import command
from training.shipping import image, sbom, smoke, summary
from training.verbs import bucket, data, models, releases, simulate
from training.verbs.arguments import PROGRAM

VERBS = (models, releases, data, simulate, image, smoke, sbom, summary, bucket)


def main() -> int:
    """Run one verb; the exit code."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    return command.main(parser())


def parser() -> argparse.ArgumentParser:
    """All verbs with their help."""
    top = argparse.ArgumentParser(prog=PROGRAM, description="Train, judge, publish and serve fraud models.")
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for module in VERBS:
        module.add_to(verbs)
    return top


if __name__ == "__main__":
    sys.exit(main())
