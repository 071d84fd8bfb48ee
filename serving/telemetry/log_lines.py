"""The lines of a server's log: which process says it, and of which call; as text, or each as one JSON object.

BentoML sets logging up before the service is imported, in the parent and in each worker; ``take_over`` gives its
handler our form. As JSON, what else these processes print becomes lines too: warnings, tracebacks.
"""

import json
import logging
import os
import sys
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from serving import bento
from serving.telemetry import request_id
from serving.telemetry.printed import PrintedLines
from serving.telemetry.tracing import span_ids

LOG = logging.getLogger("bentoml.fraud")

SELDOM_SECONDS = 60.0
_TEXT = "%(asctime)s [%(levelname)s] [%(who)s] %(message)s%(about)s"
_DATE = "%Y-%m-%dT%H:%M:%S%z"  # as BentoML has it


def take_over() -> None:
    """Give the log of this server ``FRAUD_LOG_FORMAT``; nothing in a process that is no server's.

    Called before the settings are read: their errors are lines too.
    """
    if problem := bento.missing(bento.LOG_LINES):
        LOG.warning("lines of the log are in BentoML's form, and name no call: %s", problem)
        return
    is_json = os.environ.get("FRAUD_LOG_FORMAT", "").strip() == "json"
    handlers = bento.server_handlers()
    for handler in handlers:
        handler.setFormatter(JsonLines() if is_json else TextLines())
        handler.addFilter(Seldom("opentelemetry"))
    if handlers and is_json:
        _take_over_what_is_printed()


def _take_over_what_is_printed() -> None:
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda left: _log_uncaught(left.exc_type, left.exc_value, left.exc_traceback)
    sys.unraisablehook = lambda left: _log_uncaught(left.exc_type, left.exc_value, left.exc_traceback)
    sys.stdout = PrintedLines(sys.stdout, logging.getLogger("stdout"), logging.INFO)
    sys.stderr = PrintedLines(sys.stderr, logging.getLogger("stderr"), logging.ERROR)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    LOG.critical("an error that nobody caught", exc_info=(kind, error or kind(), traceback))


def who() -> str:
    """Which of the server's processes this is."""
    number = bento.worker_number()
    return "parent" if number is None else f"worker {number}"


def _of_call(record: logging.LogRecord) -> dict[str, str]:
    """The ids of the call that a line is about; none where it is about no call."""
    ours = getattr(record, "request", None) or request_id.current.get()
    return {name: value for name, value in {"request_id": ours, **span_ids()}.items() if value}


class TextLines(logging.Formatter):
    """BentoML's form, with the process by name and the ids of the call."""

    def __init__(self) -> None:
        super().__init__(_TEXT, _DATE)

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        ids = ", ".join(f"{name}={value}" for name, value in _of_call(record).items())
        record.who, record.about = who(), f" ({ids})" if ids else ""
        return super().format(record)


class JsonLines(logging.Formatter):
    """One JSON object a line, ``time`` in UTC by ISO 8601."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": who(),
            "pid": record.process,
            "message": record.getMessage(),
            **_of_call(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class Seldom(logging.Filter):
    """Lets one record in ``SELDOM_SECONDS`` of the loggers below ``name`` pass, with the count of the others."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._said, self._unsaid = -SELDOM_SECONDS, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is said."""
        if not super().filter(record):
            return True
        now = time.monotonic()
        if now - self._said < SELDOM_SECONDS:
            self._unsaid += 1
            return False
        if self._unsaid:
            record.msg, record.args = f"{record.getMessage()} ({self._unsaid} lines since the last were left out)", ()
        self._said, self._unsaid = now, 0
        return True
