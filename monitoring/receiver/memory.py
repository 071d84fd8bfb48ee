"""What the receiver remembers over a restart: the last retrain, and of each alert how often it was not cured by one.

An alert that goes on after a retrain is likely one that retraining does not cure: nothing new was to be learnt, or the
gate refuses. The receiver is not told which; so it waits twice as long after each, until the alert has been quiet for
a while.
"""

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fraud.atomic import replacing
from fraud.errors import SettingsError, system_words

LOG = logging.getLogger(__name__)

STATE_FILE = "webhook.json"
LONGEST_PAUSE_SECONDS = 7 * 86400.0
"""As often as that it is tried all the same: retrain.yml runs each week by itself."""
MOST_ALERTS = 1000
"""Remembered; of more, those that were seen last."""
_NAMES = ("alertname", "model_version", "feature", "namespace", "environment", "cluster")


class Tried(BaseModel):
    """One alert: how many retrains it has outlived, when the last of them was started, and when it was last told of."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    retrains: int = 0
    at: float = 0.0
    seen_at: float

    def due_at(self, every_seconds: float) -> float:
        """When it may start the next one: after ``every_seconds``, then twice, four times, up to a week."""
        if not self.retrains:
            return 0.0
        longest = max(every_seconds, LONGEST_PAUSE_SECONDS)
        return self.at + min(every_seconds * 2.0 ** min(self.retrains - 1, 30), longest)


class State(BaseModel):
    """What must outlive a restart. Times are seconds since 1970; ``not_before``: GitHub asked to be left alone."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    dispatched_at: float = 0.0
    alert: str = ""
    not_before: float = 0.0
    alerts: dict[str, Tried] = {}

    def of(self, labels: Mapping[str, str]) -> Tried | None:
        """What is remembered of the alert with these labels."""
        return self.alerts.get(name_of(labels))

    def debounces(self, now: float, every_seconds: float) -> bool:
        """Whether the last retrain is so young that no other starts; a clock set back blocks nothing."""
        return self.dispatched_at <= now < self.dispatched_at + every_seconds

    def seeing(self, alerts: Iterable[tuple[Mapping[str, str], float]], now: float, every_seconds: float) -> "State":
        """After a look at firing alerts, each by its labels and the start of its firing.

        One retrain answers all that fires within ``every_seconds``. An alert that was quiet for as long before it fired
        again is a new one.
        """
        known = dict(self.alerts)
        for labels, starts_at in alerts:
            tried = known.pop(name_of(labels), None)  # to the end, where the newest are
            if tried is None or starts_at > tried.seen_at + every_seconds:
                tried = Tried(seen_at=now)
            if self.debounces(now, every_seconds) and tried.at != self.dispatched_at:
                tried = tried.model_copy(update={"retrains": tried.retrains + 1, "at": self.dispatched_at})
            known[name_of(labels)] = tried.model_copy(update={"seen_at": now})
        return self.model_copy(update={"alerts": dict(list(known.items())[-MOST_ALERTS:])})


def name_of(labels: Mapping[str, str]) -> str:
    """By which an alert is remembered: short, whatever its labels hold."""
    texts = [labels.get(name, "") for name in _NAMES]
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]


class Memory:
    """The state, in memory and in a file of ``folder``. Raises SettingsError when the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE_FILE
        self.state = State()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            if self._path.exists():
                self.state = State.model_validate_json(self._path.read_bytes())
        except OSError as error:
            raise SettingsError(
                f"{folder}: expected a folder to write to, got {system_words(error)}; give another"
            ) from None
        except ValueError:
            LOG.warning("%s is damaged; taken as if no retrain had been started", self._path)

    def keep(self, state: State) -> None:
        """Remember; when the disk fails, in this process at least."""
        if state == self.state:
            return
        self.state = state
        try:
            with replacing(self._path) as part:
                part.write_text(state.model_dump_json())
        except OSError as error:
            LOG.error(
                "%s cannot be written (%s): a restart will not know of this retrain", self._path, system_words(error)
            )
