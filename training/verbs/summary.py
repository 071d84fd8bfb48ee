"""``python -m training summary``: what a retrain came to, for the summary of a workflow run."""

import argparse
from pathlib import Path

from fraud import command
from fraud.command import Verbs
from training.shipping import summary
from training.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    parser = command.subcommand(
        verbs,
        "summary",
        _summary,
        "Append a Markdown summary of what `retrain` printed to a file.",
        f"{PROGRAM} retrain > retrain.json; {PROGRAM} summary retrain.json --output summary.md",
        f'{PROGRAM} summary retrain.json --output "$GITHUB_STEP_SUMMARY" --cause="$CAUSE"',
    )
    parser.add_argument("result", type=Path, metavar="RETRAIN.json", help="what `retrain` printed")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="Markdown file to append to")
    parser.add_argument(
        "--cause", default="", metavar="JSON", help="client_payload of the event that started it; empty when none did"
    )


def _summary(arguments: argparse.Namespace) -> dict[str, str]:
    result = summary.read(arguments.result)
    with arguments.output.open("a") as output:
        output.write(summary.markdown(result, summary.cause(arguments.cause)))
    return {"output": str(arguments.output)}
