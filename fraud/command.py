"""What every command shares: its verbs, one JSON document on stdout, words on stderr, and the exit codes."""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from fraud.errors import FraudError, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Handler = Callable[[argparse.Namespace], Any]
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What verbs are added to; argparse names its type privately."""

EXIT_ERROR = 1
EXIT_REFUSED = 3
EXIT_TERMINATED = 143  # the shell's word for SIGTERM: 128 + 15

_LOG_WIDTH = 160


@dataclass(frozen=True)
class CommandResult:
    """A document that comes with an exit code other than 0."""

    document: Any
    exit_code: int


class PlainText(str):
    """A document that is printed as it stands, and not as JSON."""


class VerbModule(Protocol):
    """A module of verbs."""

    def add_to(self, verbs: Verbs) -> None:
        """Register the verbs with their arguments."""


def front(program: str, description: str, modules: Sequence[VerbModule]) -> argparse.ArgumentParser:
    """The parser of ``python -m PACKAGE VERB``: all verbs with their help."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for module in modules:
        module.add_to(verbs)
    return parser


def main(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run the handler that ``parser`` sets as ``handler`` and print its result as JSON.

    Returns 0 or what a CommandResult says, or 1 after one line on stderr for a stated error; argparse exits 2 on wrong
    usage. SIGTERM ends the process with 143 and lets what was begun clean up: temporary stores and containers go.
    BentoML reports the use of it to nobody.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    if threading.current_thread() is threading.main_thread():  # no other may set it
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    arguments = parser.parse_args(argv)
    handler: Handler = arguments.handler
    try:
        result = handler(arguments)
    except FraudError as error:
        return _say(error)
    except ModuleNotFoundError as error:
        if find_spec("training"):  # a whole checkout: what is missing is our own mistake, or the environment's
            raise
        return _say(FraudError.not_shipped(parser.prog, error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return 130
    if not isinstance(result, CommandResult):
        result = CommandResult(result, 0)
    is_text = isinstance(result.document, PlainText)
    sys.stdout.write(result.document if is_text else json.dumps(result.document, indent=2, allow_nan=False) + "\n")
    return result.exit_code


def _say(error: FraudError) -> int:
    """The one line of a stated error; the exit code."""
    print("error:", one_line(error), file=sys.stderr)  # noqa: T201 - this is the command's voice
    return EXIT_ERROR


def console(width: int | None = None, *, soft_wrap: bool = True) -> "Console":
    """Where words for people go: stderr, as stdout holds nothing but the result. Nothing in them is markup."""
    from rich.console import Console

    return Console(stderr=True, width=width, highlight=False, soft_wrap=soft_wrap, markup=False, emoji=False)


def show(table: "Table") -> None:
    """A table for people; wide where it goes to a log."""
    console(None if sys.stderr.isatty() else _LOG_WIDTH, soft_wrap=False).print(table)


def subcommand(verbs: Verbs, name: str, handler: Handler, summary: str, *examples: str) -> argparse.ArgumentParser:
    """Add a verb with its help text and examples. Its handler may end in ``arguments.wrong_usage("why")``."""
    epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else None
    parser = verbs.add_parser(
        name,
        help=summary.replace("%", "%%"),
        description=summary,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler, wrong_usage=parser.error)
    return parser
