"""``python -m monitoring webhook``: serve the receiver that turns alerts into retrains."""

import argparse
import logging
import tempfile
from pathlib import Path

from fraud import command
from fraud.argument_types import duration, port
from fraud.command import Verbs
from monitoring.verbs import PROGRAM

LOG = logging.getLogger(__name__)

_GRACE_SECONDS = 10  # longer than the call to GitHub may take


def add_to(verbs: Verbs) -> None:
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
    webhook.add_argument("--port", type=port, default=9095, help="port to listen on (default 9095)")
    webhook.add_argument(
        "--every",
        type=duration,
        default=duration("6h"),
        metavar="TIME",
        help="start at most one retrain in this time, such as 30m, 6h, 1d (default 6h); twice as long after each that "
        "did not cure its alert, up to a week",
    )
    webhook.add_argument(
        "--state",
        type=Path,
        default=Path(tempfile.gettempdir()) / "fraud-webhook",
        metavar="FOLDER",
        help="where the last retrain is remembered (default %(default)s, which a new machine or container forgets)",
    )


def _webhook(arguments: argparse.Namespace) -> None:
    import uvicorn

    from monitoring.receiver.github import Target
    from monitoring.receiver.memory import Memory
    from monitoring.receiver.webhook import Receiver, application

    logging.getLogger("monitoring").setLevel(logging.INFO)
    target = Target.from_env()
    receiver = Receiver(arguments.every, Memory(arguments.state))
    if target:
        LOG.info(
            "alerts start retrain.yml of %s, at most once in %g s, ever more seldom by one that goes on",
            target.repository,
            arguments.every,
        )
    else:
        LOG.warning("GITHUB_REPOSITORY and GITHUB_TOKEN or GITHUB_TOKEN_FILE are not both set: nothing is sent")
    uvicorn.run(
        application(receiver),
        host=arguments.host,
        port=arguments.port,
        log_config=None,  # our own, on stderr
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
