"""Who changes the champion, in words for its history."""

import getpass
import os
import socket

from fraud.settings import Settings


def actor() -> str:
    """``FRAUD_ACTOR``; else who started the run of GitHub Actions, and which run it is; else the user at this machine.

    It is what the environment says, and no proof: who could write is in the access log of S3. Raises SettingsError.
    """
    if named := Settings.from_env().actor:
        return named
    if starter := os.environ.get("GITHUB_ACTOR"):
        run = "/actions/runs/".join(os.environ.get(f"GITHUB_{name}", "") for name in ("REPOSITORY", "RUN_ID"))
        return f"{starter}, {run}"
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    """The user's name, or its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
