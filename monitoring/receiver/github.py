"""The call that starts ``retrain.yml``: GitHub's `repository_dispatch`, told why.

GitHub takes an event also where no workflow listens: its 204 says nothing of a run. So the workflow's state is asked
for too.
https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event
https://docs.github.com/en/rest/actions/workflows#get-a-workflow
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
WORKFLOW = "retrain.yml"
CALL_SECONDS = 6.0  # Alertmanager gives a notification up after 10 s or more
LOOK_SECONDS = 2.0  # and this comes after it
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

_LOOK_ADVICE = {
    403: "the token needs the permission Actions, read",
    404: f"there is no {WORKFLOW} on the default branch, or the token lacks the permission Actions, read",
}
_NO_RUN = {
    "disabled_inactivity": "GitHub disabled it after 60 days without a commit",
    "disabled_manually": "somebody disabled it",
    "disabled_fork": "GitHub disables it in a fork",
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

    Only 204 means that GitHub took it, and only an enabled workflow makes a run of it. Redirects are not followed: the
    token goes to one host. After a call without an answer it is not known whether GitHub took it; it counts as refused,
    so a retry may start a second run. Where the workflow's state cannot be seen the event counts as accepted.
    """
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {target.token}",
        "User-Agent": "fraud-detector-webhook",
        "X-GitHub-Api-Version": API_VERSION,
    }
    base_url = f"{target.api_url}/repos/{target.repository}"
    async with httpx.AsyncClient(transport=transport, headers=headers) as client:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                body = {"event_type": EVENT_TYPE, "client_payload": cause}
                response = await client.post(f"{base_url}/dispatches", json=body)
        except (httpx.HTTPError, TimeoutError) as error:
            return DispatchResult(False, f"GitHub gave no answer ({type(error).__name__})")
        if response.status_code != 204:
            return _refusal(response)
        return await _look(client, f"{base_url}/actions/workflows/{WORKFLOW}", target.repository)


async def _look(client: httpx.AsyncClient, url: str, repository: str) -> DispatchResult:
    """What becomes of an event that GitHub took, by the state of the workflow."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            response = await client.get(url)
    except (httpx.HTTPError, TimeoutError) as error:
        return _unseen(repository, f"GitHub gave no answer ({type(error).__name__})")
    state = _text_of(response, "state") if response.status_code == 200 else ""
    if state == "active":
        return DispatchResult(True, f"retraining of {repository} started")
    if not state:
        return _unseen(repository, _words(response, _LOOK_ADVICE.get(response.status_code, "")))
    why = _NO_RUN.get(state, f"its state is {state}")
    return DispatchResult(
        False, f"{repository} starts no retraining: {WORKFLOW} is disabled ({why}); gh workflow enable {WORKFLOW}"
    )


def _unseen(repository: str, why: str) -> DispatchResult:
    return DispatchResult(True, f"{repository} took the event; whether {WORKFLOW} is enabled cannot be seen: {why}")


def _refusal(response: httpx.Response) -> DispatchResult:
    wait_seconds = _wait_seconds(response)
    advice = f"asked to wait {wait_seconds:.0f} s" if wait_seconds else _ADVICE.get(response.status_code, "")
    return DispatchResult(False, _words(response, advice), wait_seconds)


def _words(response: httpx.Response, advice: str) -> str:
    reasons = "; ".join(part for part in (_text_of(response, "message"), advice) if part)
    return f"GitHub answered {response.status_code}" + (f": {reasons}" if reasons else "")


def _wait_seconds(response: httpx.Response) -> float:
    """Retry-After; else the time until the limit is reset, when it is used up; else a minute after a 429."""
    after, reset = response.headers.get("retry-after"), response.headers.get("x-ratelimit-reset", "")
    seconds = DEFAULT_WAIT_SECONDS if after is not None or response.status_code == 429 else 0.0
    if after is not None and re.fullmatch(r"\d{1,9}", after, re.ASCII):
        seconds = float(after)
    elif response.headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{1,12}", reset, re.ASCII):
        seconds = max(1.0, float(reset) - time.time())
    return min(seconds, MAX_WAIT_SECONDS)


def _text_of(response: httpx.Response, name: str) -> str:
    """A text of GitHub's document, such as its own words, on one line."""
    try:
        document = response.json()
    except ValueError:
        return ""
    text = document.get(name) if isinstance(document, dict) else None
    return " ".join(text.split())[:200] if isinstance(text, str) else ""
