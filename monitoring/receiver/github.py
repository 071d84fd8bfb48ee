"""The call that starts ``retrain.yml``: GitHub's `repository_dispatch`, told why.

https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from fraud.errors import SettingsError

EVENT_TYPE = "retrain"
API_VERSION = "2022-11-28"
CALL_SECONDS = 8.0  # Alertmanager gives a notification up after 10 s or more
MAX_WAIT_SECONDS = 3600.0  # GitHub's limits are reset each hour
DEFAULT_WAIT_SECONDS = 60.0  # what GitHub asks for when it names no time

_ADVICE = {
    301: "the repository has moved; set GITHUB_REPOSITORY to its new name",
    307: "the repository has moved; set GITHUB_REPOSITORY to its new name",
    308: "the repository has moved; set GITHUB_REPOSITORY to its new name",
    401: "the token is unknown, expired or revoked",
    403: "the token needs the permission Contents, read and write",
    404: "this token sees no such repository; check GITHUB_REPOSITORY and which repositories the token is for",
}


@dataclass(frozen=True)
class Target:
    """Whose workflows are started, and with which right."""

    repository: str
    token: str = field(repr=False)
    api_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Target | None":
        """GITHUB_REPOSITORY, GITHUB_TOKEN or the content of GITHUB_TOKEN_FILE, and GITHUB_API_URL.

        None when repository or token are not given. Raises SettingsError for one that cannot be right; its message
        never holds the token.
        """
        source = os.environ if environ is None else environ
        repository, token = source.get("GITHUB_REPOSITORY", ""), _token(source)
        api_url = source.get("GITHUB_API_URL") or "https://api.github.com"
        if repository and not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", repository, re.ASCII):
            raise SettingsError(f"GITHUB_REPOSITORY={repository!r}: expected OWNER/REPOSITORY")
        _check_url(api_url)
        return cls(repository, token, api_url.rstrip("/")) if repository and token else None


def _token(source: Mapping[str, str]) -> str:
    token, path = source.get("GITHUB_TOKEN", ""), source.get("GITHUB_TOKEN_FILE", "")
    if path and not token:
        try:
            token = Path(path).read_text()
        except (OSError, ValueError) as error:
            raise SettingsError(f"GITHUB_TOKEN_FILE={path!r}: cannot be read ({type(error).__name__})") from None
    token = token.strip()
    if not re.fullmatch(r"[!-~]*", token):  # a header could not carry it, and the error would show it
        raise SettingsError("GITHUB_TOKEN: expected one word of plain ASCII")
    return token


def _check_url(api_url: str) -> None:
    try:
        parts = urlsplit(api_url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    safe = parts.scheme == "https" or (parts.scheme == "http" and host in ("127.0.0.1", "localhost", "::1"))
    if not host or not safe:
        raise SettingsError(f"GITHUB_API_URL={api_url!r}: expected https://..., or http:// on this machine alone")


@dataclass(frozen=True)
class DispatchResult:
    """What GitHub made of a call; ``wait_seconds``: how long it asks to be left alone."""

    accepted: bool
    reason: str
    wait_seconds: float = 0.0


async def dispatch(
    target: Target, cause: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> DispatchResult:
    """Start the workflows that listen to ``retrain``; ``cause`` is their ``client_payload``, at most 10 entries.

    Only 204 means that GitHub took it. Redirects are not followed: the token goes to one host. After a call without
    an answer it is not known whether GitHub took it; it counts as refused, so a retry may start a second run.
    """
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {target.token}",
        "User-Agent": "fraud-detector-webhook",
        "X-GitHub-Api-Version": API_VERSION,
    }
    url = f"{target.api_url}/repos/{target.repository}/dispatches"
    try:
        async with asyncio.timeout(CALL_SECONDS), httpx.AsyncClient(transport=transport) as client:
            response = await client.post(url, headers=headers, json={"event_type": EVENT_TYPE, "client_payload": cause})
    except (httpx.HTTPError, TimeoutError) as error:
        return DispatchResult(False, f"GitHub gave no answer ({type(error).__name__})")
    if response.status_code == 204:
        return DispatchResult(True, f"retraining of {target.repository} started")
    return _refusal(response)


def _refusal(response: httpx.Response) -> DispatchResult:
    wait_seconds = _wait_seconds(response)
    advice = f"asked to wait {wait_seconds:.0f} s" if wait_seconds else _ADVICE.get(response.status_code, "")
    reasons = "; ".join(part for part in (_message(response), advice) if part)
    return DispatchResult(
        False, f"GitHub answered {response.status_code}" + (f": {reasons}" if reasons else ""), wait_seconds
    )


def _wait_seconds(response: httpx.Response) -> float:
    """Retry-After; else the time until the limit is reset, when it is used up; else a minute after a 429."""
    after, reset = response.headers.get("retry-after"), response.headers.get("x-ratelimit-reset", "")
    seconds = DEFAULT_WAIT_SECONDS if after is not None or response.status_code == 429 else 0.0
    if after is not None and re.fullmatch(r"\d{1,9}", after, re.ASCII):
        seconds = float(after)
    elif response.headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{1,12}", reset, re.ASCII):
        seconds = max(1.0, float(reset) - time.time())
    return min(seconds, MAX_WAIT_SECONDS)


def _message(response: httpx.Response) -> str:
    """GitHub's own words, on one line."""
    try:
        document = response.json()
    except ValueError:
        return ""
    message = document.get("message") if isinstance(document, dict) else None
    return " ".join(message.split())[:200] if isinstance(message, str) else ""
