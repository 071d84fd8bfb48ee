"""What every command shares: one JSON document on stdout, words on stderr, and the exit codes."""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fraud.errors import FraudError

Handler = Callable[[argparse.Namespace], Any]

EXIT_ERROR = 1
EXIT_REFUSED = 3
EXIT_TERMINATED = 143  # the shell's word for SIGTERM: 128 + 15


@dataclass(frozen=True)
class Answer:
    """A result that comes with an exit code other than 0."""

    document: Any
    exit_code: int


def main(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Run the handler that ``parser`` sets as ``handler`` and print its result as JSON.

    Returns 0 or what an Answer says, or 1 after one line on stderr for a stated error; argparse exits 2 on wrong usage.
    SIGTERM ends the process with 143 and lets what was begun clean up: temporary stores and containers go.
    """
    if threading.current_thread() is threading.main_thread():  # no other may set it
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    given = parser.parse_args(arguments)
    handler: Handler = given.handler
    try:
        result = handler(given)
    except FraudError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)  # noqa: T201 - this is the command's voice
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return 130
    answer = result if isinstance(result, Answer) else Answer(result, 0)
    sys.stdout.write(json.dumps(answer.document, indent=2, allow_nan=False) + "\n")
    return answer.exit_code


def subcommand(
    group: Any,  # noqa: ANN401 - argparse names its type privately
    name: str,
    handler: Handler,
    summary: str,
    *examples: str,
) -> argparse.ArgumentParser:
    """Add a verb with its help text and examples."""
    epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else None
    parser: argparse.ArgumentParser = group.add_parser(
        name,
        help=summary.replace("%", "%%"),
        description=summary,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    return parser
