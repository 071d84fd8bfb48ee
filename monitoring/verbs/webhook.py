"""``python -m monitoring webhook``: serve the receiver that turns alerts into retrains."""

import argparse
import logging
import re
import tempfile
from pathlib import Path
from typing import Any

from fraud import command

PROGRAM = "python -m monitoring"
LOG = logging.getLogger(__name__)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_GRACE_SECONDS = 10  # longer than the call to GitHub may take


def add_to(verbs: Any) -> None:  # noqa: ANN401 - argparse names its type privately
    """Register the verb."""
    webhook = command.subcommand(
        verbs,
        "webhook",
        _webhook,
        'Start retrain.yml on GitHub when Alertmanager reports a firing alert with the label retrain="true".',
        f"GITHUB_REPOSITORY=owner/repo GITHUB_TOKEN_FILE=token {PROGRAM} webhook",
        f"{PROGRAM} webhook --host 0.0.0.0 --every 1d --state /var/lib/fraud-webhook",
        f"{PROGRAM} webhook        # without repository or token: says what it would have sent",
    )
    webhook.add_argument("--host", default="127.0.0.1", help="IP address to listen on (default 127.0.0.1)")
    webhook.add_argument("--port", type=_port, default=9095, help="port to listen on (default 9095)")
    webhook.add_argument(
        "--every",
        type=duration,
        default=duration("6h"),
        metavar="TIME",
        help="start at most one retrain in this time, such as 30m, 6h, 1d (default 6h)",
    )
    webhook.add_argument(
        "--state",
        type=Path,
        default=Path(tempfile.gettempdir()) / "fraud-webhook",
        metavar="FOLDER",
        help="where the last retrain is remembered (default %(default)s, which a new machine or container forgets)",
    )


def duration(text: str) -> float:
    """Seconds in a text such as 90s, 30m, 6h or 1d."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"expected a time such as 30m, 6h or 1d, got {text!r}")
    return float(int(found[1]) * _UNITS[found[2]])


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text}")
    return number


def _webhook(given: argparse.Namespace) -> None:
    import uvicorn

    from monitoring.github import Target
    from monitoring.webhook import Memory, Receiver, application

    logging.getLogger("monitoring").setLevel(logging.INFO)
    target = Target.from_env()
    receiver = Receiver(given.every, Memory(given.state))
    if target:
        LOG.info("alerts start retrain.yml of %s, at most once in %g s", target.repository, given.every)
    else:
        LOG.warning("GITHUB_REPOSITORY and GITHUB_TOKEN or GITHUB_TOKEN_FILE are not both set: nothing is sent")
    uvicorn.run(
        application(receiver),
        host=given.host,
        port=given.port,
        log_config=None,  # our own, on stderr
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
