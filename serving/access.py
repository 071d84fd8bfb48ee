"""Who may call what: the paths that need a key, and what is told of calls that bring none."""

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from fraud import keys
from fraud.keys import Guard
from fraud.settings import Settings
from monitoring.metrics import FraudMetrics
from serving.edge import BATCH, METRICS, OPEN, PREDICT, STATIC, Edge, Scope
from serving.pages import FEEDBACK, MODEL

LOG = logging.getLogger("bentoml.fraud")

LOG_SECONDS = 10.0
"""Between two lines about calls without a key."""
MOST_CALLERS, SHOWN = 100, 3
"""Addresses told apart between two lines, and named in one: an attacker may have many."""
_OTHERS = "others"
_ODD = re.compile(r"[^0-9A-Za-z.:%-]")
_ADDRESS_CHARACTERS = 64


KINDS = {PREDICT: "score", BATCH: "score", FEEDBACK: "label", MODEL: "read"}
"""The kind of key that a path needs; any other needs one that is good for everything."""


def guards(settings: Settings, known: frozenset[str]) -> dict[str, Guard]:
    """What looks at the keys of calls, by path.

    With API keys set each path of ``known`` needs one of its kind, unless it is OPEN or below STATIC. ``/metrics``
    needs a metrics key where those are set: no API key reads metrics, and no metrics key does anything else.
    """
    shut: dict[str, Guard] = {}
    if settings.key_names:
        closed = (path for path in known if path not in OPEN and not path.startswith(STATIC))
        shut |= {path: Guard(settings.names_of(*_kinds_for(path))) for path in closed}
    if readers := settings.metrics_key_names:
        shut[METRICS] = Guard(readers)
    return shut


def _kinds_for(path: str) -> tuple[str, ...]:
    return (KINDS[path],) if path in KINDS else keys.KINDS


def introduction(settings: Settings) -> str:
    """Who may call, for the line that a start says."""
    count, readers = len(settings.key_names), len(settings.metrics_key_names)
    callers = f"{count} keys" if count else "no keys: whoever reaches the port may score"
    if settings.tells_keys_apart:
        of_kinds = [f"{kind} {len(settings.names_of(kind))}" for kind in keys.KINDS]
        callers += f" (good for {', '.join(of_kinds)})"
    return f"{callers}; {f'{readers} keys for metrics' if readers else 'metrics open'}"


def known_to(settings: Settings) -> Callable[[Scope], str | None]:
    """Tells whose API key a call brings, whatever it is good for; on ``/metrics`` none is known."""
    guard = Guard(settings.key_names)
    return lambda scope: None if scope["path"] == METRICS else guard(scope["headers"])


def watch(edge: Edge, metrics: FraudMetrics) -> None:
    """Have what ``edge`` turns away counted, and said; publish whether it asks for keys."""
    unauthorized = UnauthorizedCalls(metrics.access.unauthorized)
    forbidden = UnauthorizedCalls(metrics.access.unauthorized, "calls with a key of another kind")
    edge.note_unauthorized, edge.note_forbidden = unauthorized.note, forbidden.note
    metrics.flush_with(unauthorized.tell)
    metrics.flush_with(forbidden.tell)
    metrics.access.describe(keys_required=PREDICT in edge.guards)


class UnauthorizedCalls:
    """Tells of calls without a known key: each to ``count(path)``, where they came from now and then to the log.

    What was sent in place of a key is told to nobody: it may be a real one with a slip in it.
    """

    def __init__(self, count: Callable[[str], None], words: str = "calls without a known key") -> None:
        self._count, self._words = count, words
        self._lock = threading.Lock()
        self._callers = Counter[str]()
        self._last = ""
        self._said = -LOG_SECONDS

    def note(self, scope: Scope) -> None:
        """One more, as ASGI describes it; its path is one that exists."""
        path, caller = scope["path"], _address(scope)
        self._count(path)
        with self._lock:
            self._last = path
            known = caller in self._callers or len(self._callers) < MOST_CALLERS
            self._callers[caller if known else _OTHERS] += 1

    def tell(self) -> None:
        """Log what was noted since the last line, unless that was a moment ago; asked each second, by one thread."""
        now = time.monotonic()
        if not self._callers or now - self._said < LOG_SECONDS:
            return
        with self._lock:
            callers, last = self._callers, self._last
            self._callers, self._said = Counter(), now
        LOG.warning("%s: %d, the last to %s; %s", self._words, callers.total(), last, _worded(callers))


def _worded(callers: Mapping[str, int]) -> str:
    """Who called most, with how often."""
    most = Counter(callers).most_common(SHOWN)
    more = len(callers) - len(most)
    named = [f"{times} from {caller}" for caller, times in most]
    return ", ".join([*named, f"more from {more} other addresses"] if more else named)


def _address(scope: Scope) -> str:
    """Of the caller: the connection's, or what a proxy that uvicorn trusts says of it; short and of one line."""
    host = str((scope.get("client") or ("",))[0])
    return _ODD.sub("?", host[:_ADDRESS_CHARACTERS]) or "an unknown address"
