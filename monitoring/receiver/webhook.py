"""Alertmanager's webhook in, GitHub's `repository_dispatch` out: an alert with ``retrain="true"`` starts a retrain.

Once in a while at most: whatever fires in between is answered and forgotten; Alertmanager comes again with what still
fires, and that starts the next retrain ever later (``memory``). A call that GitHub did not take is not counted, and
answered with 5xx so that Alertmanager tries again.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fraud.errors import SettingsError
from monitoring.receiver.github import Target, dispatch
from monitoring.receiver.memory import Memory, State, Tried

LOG = logging.getLogger(__name__)

LABELS = ("model_version", "feature", "severity", "namespace", "environment", "cluster")
CAUSE = ("alert", *LABELS, "summary", "starts_at", "also")
MAX_BODY_BYTES = 1024 * 1024
MAX_TEXT = 300


class Alert(BaseModel):
    """One alert of a notification; what is not needed here is not looked at."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: AwareDatetime = Field(alias="startsAt")

    @property
    def retrains(self) -> bool:
        """Whether it may start a retrain now."""
        return self.status == "firing" and self.labels.get("retrain") == "true"

    @property
    def fired(self) -> tuple[Mapping[str, str], float]:
        """Its labels, and since when it fires, in seconds since 1970."""
        return self.labels, self.starts_at.timestamp()


class Notification(BaseModel):
    """Alertmanager's payload, version 4."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    alerts: list[Alert]

    @property
    def retraining(self) -> list[Alert]:
        """Alerts that may start a retrain, the one that has fired for longest first."""
        return sorted((alert for alert in self.alerts if alert.retrains), key=lambda alert: alert.starts_at)


@dataclass(frozen=True)
class Decision:
    """``cause`` is what to tell GitHub, or None when there is nothing to start; ``later``: ask again."""

    reason: str
    cause: Mapping[str, str] | None = None
    later: bool = False


def decide(notification: Notification, state: State, now: float, every_seconds: float) -> Decision:
    """Whether this notification starts a retrain, and why or why not."""
    alerts = notification.retraining
    if not alerts:
        return Decision('no firing alert has the label retrain="true"')
    if state.debounces(now, every_seconds):
        when = _moment(state.dispatched_at)
        return Decision(f"debounced: {state.alert} started a retrain at {when}, at most one in {every_seconds:g} s")
    due = [alert for alert in alerts if not _waits(state.of(alert.labels), now, every_seconds)]
    if not due:
        return Decision(_not_cured(alerts[0], state, every_seconds))
    if now < state.not_before:
        return Decision(f"GitHub asked to wait {state.not_before - now:.0f} s more", later=True)
    return Decision("to be started", _cause(due[0], alerts))


def _waits(tried: Tried | None, now: float, every_seconds: float) -> bool:
    return tried is not None and tried.at <= now < tried.due_at(every_seconds)  # as above of a clock set back


def _not_cured(alert: Alert, state: State, every_seconds: float) -> str:
    tried = state.of(alert.labels) or Tried(seen_at=0.0)
    name = alert.labels.get("alertname", "unnamed")
    return f"not cured: {name} fires on after {tried.retrains} retrains, next at {_moment(tried.due_at(every_seconds))}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _cause(first: Alert, alerts: Sequence[Alert]) -> dict[str, str]:
    """The alert that starts it and the names of the others: short printable texts, at most 10 (GitHub's limit)."""
    labels = first.labels
    others = sorted({alert.labels.get("alertname", "") for alert in alerts} - {labels.get("alertname", "")})
    texts = (
        labels.get("alertname", "unnamed"),
        *(labels.get(name, "") for name in LABELS),
        first.annotations.get("summary", ""),
        first.starts_at.isoformat(),
        ", ".join(filter(None, others)),
    )
    return {name: _plain(text) for name, text in zip(CAUSE, texts, strict=True) if text}


def _plain(text: str) -> str:
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())[:MAX_TEXT]


@dataclass(frozen=True)
class WebhookResponse:
    """What Alertmanager is told; it tries again after 5xx."""

    status: int
    dispatched: bool
    reason: str


class Receiver:
    """Decides on one notification at a time. ``transport`` and ``clock`` stand in for the network and the time."""

    def __init__(
        self,
        every_seconds: float,
        memory: Memory,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._every_seconds, self._memory, self._transport, self._clock = every_seconds, memory, transport, clock
        self._lock = asyncio.Lock()

    async def receive(self, notification: Notification) -> WebhookResponse:
        """Start a retrain if it is time to."""
        async with self._lock:
            self._look_at(notification)
            decision = decide(notification, self._memory.state, self._clock(), self._every_seconds)
            if decision.cause is None:
                response = WebhookResponse(503 if decision.later else 200, False, decision.reason)
            else:
                response = await self._start(decision.cause)
            if response.dispatched:
                self._look_at(notification)
        LOG.log(logging.INFO if response.status == 200 else logging.WARNING, "%s", response.reason)
        return response

    def _look_at(self, notification: Notification) -> None:
        fired = [alert.fired for alert in notification.retraining]
        self._memory.keep(self._memory.state.seeing(fired, self._clock(), self._every_seconds))

    async def _start(self, cause: Mapping[str, str]) -> WebhookResponse:
        try:
            target = Target.from_env()  # read each time: a token in a file is replaced while we run
        except SettingsError as error:
            return WebhookResponse(502, False, str(error))
        if target is None:
            return WebhookResponse(200, False, f"no GITHUB_REPOSITORY or no token; would have sent {json.dumps(cause)}")
        result = await dispatch(target, cause, self._transport)
        now = self._clock()
        if result.accepted:
            started = {"dispatched_at": now, "alert": cause["alert"], "not_before": 0.0}
            self._memory.keep(self._memory.state.model_copy(update=started))
        elif result.wait_seconds:
            self._memory.keep(self._memory.state.model_copy(update={"not_before": now + result.wait_seconds}))
        return WebhookResponse(
            200 if result.accepted else 502, result.accepted, f"{result.reason}, by {cause['alert']}"
        )


def application(receiver: Receiver) -> Starlette:
    """``POST /alerts`` and ``GET /healthz``; errors have the service's one shape."""

    async def alerts(request: Request) -> JSONResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "the body must be JSON, with Content-Type: application/json")
        try:
            notification = Notification.model_validate_json(await _body(request))
        except ValidationError as error:
            return _malformed(error)
        response = await receiver.receive(notification)
        return JSONResponse({"dispatched": response.dispatched, "reason": response.reason}, response.status)

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    routes = [Route("/alerts", alerts, methods=["POST"]), Route("/healthz", healthz)]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    status, message = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"error": message, "details": []}, status)


def _malformed(error: ValidationError) -> JSONResponse:
    problems = error.errors(include_url=False, include_context=False, include_input=False)[:10]
    details = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in problems]
    message = "expected Alertmanager's webhook payload, version 4"
    LOG.warning("%s; %s", message, "; ".join(f"{one['field']}: {one['message']}" for one in details))
    return JSONResponse({"error": message, "details": details}, 400)
