"""Who may call what: the paths that need a key, and what is told of calls that bring none."""

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from fraud.keys import Guard
from fraud.settings import Settings
from monitoring.metrics import FraudMetrics
from serving.edge import METRICS, OPEN, PREDICT, STATIC, Edge, Scope

LOG = logging.getLogger("bentoml.fraud")

LOG_SECONDS = 10.0
"""Between two lines about calls without a key."""
MOST_CALLERS, SHOWN = 100, 3
"""Addresses told apart between two lines, and named in one: an attacker may have many."""
_OTHERS = "others"
_ODD = re.compile(r"[^0-9A-Za-z.:%-]")
_ADDRESS_CHARACTERS = 64


def guards(settings: Settings, known: frozenset[str]) -> dict[str, Guard]:
    """What looks at the keys of calls, by path.

    With API keys set each path of ``known`` needs one, unless it is OPEN or below STATIC. ``/metrics`` needs a metrics
    key where those are set: no API key reads metrics, and no metrics key does anything else.
    """
    shut: dict[str, Guard] = {}
    if names := settings.key_names:
        closed = (path for path in known if path not in OPEN and not path.startswith(STATIC))
        shut |= dict.fromkeys(closed, Guard(names))
    if readers := settings.metrics_key_names:
        shut[METRICS] = Guard(readers)
    return shut


def introduction(settings: Settings) -> str:
    """Who may call, for the line that a start says."""
    keys, readers = len(settings.key_names), len(settings.metrics_key_names)
    callers = f"{keys} keys" if keys else "no keys: whoever reaches the port may score"
    return f"{callers}; {f'{readers} keys for metrics' if readers else 'metrics open'}"


def watch(edge: Edge, metrics: FraudMetrics) -> None:
    """Have what ``edge`` turns away counted, and said; publish whether it asks for keys."""
    unauthorized = UnauthorizedCalls(metrics.access.unauthorized)
    edge.note_unauthorized = unauthorized.note
    metrics.flush_with(unauthorized.tell)
    metrics.access.describe(keys_required=PREDICT in edge.guards)


class UnauthorizedCalls:
    """Tells of calls without a known key: each to ``count(path)``, where they came from now and then to the log.

    What was sent in place of a key is told to nobody: it may be a real one with a slip in it.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
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
        LOG.warning("calls without a known key: %d, the last to %s; %s", callers.total(), last, _worded(callers))


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
