"""A stand-in for GitHub's API, as far as `repository_dispatch` and a workflow's state go: it refuses what GitHub does.

Written after https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event; ``api()`` runs in the
test's own process over httpx.ASGITransport, or under uvicorn as the component ``GitHub``.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Self

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.components.process import Process, answers, free_port

REPOSITORY = "owner/fraud-detector"
TOKEN = "github_pat_stand_in"  # noqa: S105 - no secret: the stand-in's own
READ_ONLY_TOKEN = "github_pat_read_only"  # noqa: S105
BLIND_TOKEN = "github_pat_without_actions"  # noqa: S105
MAX_PAYLOAD_BYTES = 64 * 1024
ROOT = Path(__file__).parents[2]


def api(state: str | None = "active") -> Starlette:
    """``POST /repos/REPOSITORY/dispatches``; ``GET /taken`` (not GitHub's) tells what was taken.

    ``state`` is that of retrain.yml; None: there is none on the default branch. An event is taken all the same.
    """
    taken: list[dict[str, Any]] = []

    async def dispatches(request: Request) -> Response:
        body = await request.body()
        refused = refusal(request, body)
        if refused:
            status, message = refused
            return JSONResponse({"message": message, "documentation_url": "https://docs.github.com/rest"}, status)
        taken.append(json.loads(body))
        return Response(status_code=204)

    async def workflow(request: Request) -> Response:
        if request.headers.get("authorization") == f"Bearer {BLIND_TOKEN}":
            return JSONResponse({"message": "Resource not accessible by personal access token"}, 403)
        if state is None or request.path_params["file"] != "retrain.yml":
            return JSONResponse({"message": "Not Found"}, 404)
        return JSONResponse({"path": ".github/workflows/retrain.yml", "state": state})

    async def told(_: Request) -> JSONResponse:
        return JSONResponse(taken)

    routes = [
        Route("/repos/{owner}/{name}/dispatches", dispatches, methods=["POST"]),
        Route("/repos/{owner}/{name}/actions/workflows/{file}", workflow),
        Route("/taken", told),
    ]
    return Starlette(routes=routes)


def refusal(request: Request, body: bytes) -> tuple[int, str] | None:
    """Status and message of what GitHub refuses, or None."""
    headers, path = request.headers, request.path_params
    if not headers.get("user-agent"):
        return 403, "Request forbidden by administrative rules."
    if headers.get("x-github-api-version", "2022-11-28") != "2022-11-28":
        return 400, "unsupported API version"
    if headers.get("authorization") not in [f"Bearer {one}" for one in (TOKEN, READ_ONLY_TOKEN, BLIND_TOKEN)]:
        return 401, "Bad credentials"
    if f"{path['owner']}/{path['name']}" != REPOSITORY:
        return 404, "Not Found"
    if headers["authorization"] == f"Bearer {READ_ONLY_TOKEN}":
        return 403, "Resource not accessible by personal access token"
    return invalid(body)


def invalid(body: bytes) -> tuple[int, str] | None:
    """What is wrong with the body."""
    try:
        document = json.loads(body)
    except ValueError:
        return 400, "Problems parsing JSON"
    if not isinstance(document, dict):
        return 422, "Invalid request."
    if strange := sorted(document.keys() - {"event_type", "client_payload"}):
        return 422, f"Invalid request. {', '.join(strange)} are not permitted keys."
    event_type, payload = document.get("event_type"), document.get("client_payload", {})
    if not isinstance(event_type, str) or not 1 <= len(event_type) <= 100:
        return 422, 'Invalid request. "event_type" wasn\'t supplied.'
    if not isinstance(payload, dict):
        return 422, "Invalid request. client_payload is not an object."
    if len(payload) > 10:
        return 422, f"Invalid request. No more than 10 properties are allowed; {len(payload)} were supplied."
    if len(json.dumps(payload)) > MAX_PAYLOAD_BYTES:
        return 422, "client_payload is too large."
    return None


class GitHub:
    """The stand-in as a process; after a stop and a start it has forgotten what it took."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        address = ("--host", "127.0.0.1", "--port", str(self.port))
        command = [sys.executable, "-m", "uvicorn", "--factory", f"{__name__}:api", *address]
        self._process = Process("github", command, folder, env=dict(os.environ), cwd=ROOT)

    @property
    def env(self) -> dict[str, str]:
        """For the process that calls it."""
        return {"GITHUB_API_URL": self.url, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN}

    def start(self) -> Self:
        self._process.start(lambda: answers(f"{self.url}/taken"), seconds=30)
        return self

    def stop(self) -> None:
        self._process.stop()

    def restart(self) -> None:
        """Forget what was taken."""
        self.stop()
        self.start()

    def taken(self) -> list[dict[str, Any]]:
        """Bodies of the dispatches that were taken."""
        return httpx.get(f"{self.url}/taken", timeout=10, trust_env=False).raise_for_status().json()

    def log(self) -> str:
        return self._process.log()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
