"""Who serves: the champion pointer in S3 and its history.

``champion.json`` is the only object ever replaced, always by compare-and-swap on its ETag; each change is also kept as
an immutable object under ``history/``. The event is written first and the pointer last: an event that the pointer's
chain does not reach was a lost race, and nobody reads it.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.errors import ConflictError, DamagedError, RegistryError
from fraud.remote import s3
from fraud.remote.actor import actor

FILE = "champion.json"

Document = TypeVar("Document", bound=BaseModel)
VerdictWord = Literal["passed", "refused", "none"]
"""What the gate said of a version; none where it was not asked."""


class Champion(BaseModel):
    """``champion.json``: who serves since when and why. ``generation`` grows, so that an ETag never comes back.

    Fields that this code does not know are of newer code, and hold until that changes them: they are written again as
    they were read.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    model_version: str
    generation: int
    event: str
    at: str
    reason: str
    by: str | None = None
    """Who did it; this and the next two are None in an event of before they were kept."""
    override: bool | None = None
    """Whether a refusal of the gate was overridden."""
    verdict: VerdictWord | None = None
    previous_version: str | None
    previous_event: str | None


@dataclass(frozen=True)
class Pointer:
    """The champion pointer below one ``s3://bucket/prefix``."""

    uri: str

    def read(self) -> tuple[Champion, str] | None:
        """The champion and the pointer's ETag, or None before the first. Raises RegistryError when S3 fails."""
        uri = s3.join(self.uri, FILE)
        stored = s3.get(uri)
        return None if stored is None else (parse_document(Champion, stored[0], uri), stored[1])

    def crown(
        self, version: str, current: tuple[Champion, str] | None, reason: str, verdict: VerdictWord = "none"
    ) -> Champion:
        """Make ``version`` champion after ``current``, which was read before the decision.

        Raises ConflictError when the pointer is no longer what was read.
        """
        before = current[0] if current else None
        champion = Champion(
            **(before.model_extra or {} if before else {}),
            model_version=version,
            generation=before.generation + 1 if before else 1,
            event=uuid.uuid4().hex[:12],
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            reason=reason,
            by=actor(),
            override=verdict == "refused",
            verdict=verdict,
            previous_version=before.model_version if before else None,
            previous_event=before.event if before else None,
        )
        s3.put(self._event(champion.generation, champion.event), champion.model_dump())
        etag = current[1] if current else None
        try:
            s3.put(s3.join(self.uri, FILE), champion.model_dump(), replacing=etag, new=current is None)
        except ConflictError:
            # boto3 tries again when an answer is lost, and then meets its own first write
            if all(event.event != champion.event for event in self.history()):
                raise
        return champion

    def history(self) -> list[Champion]:
        """Who was champion when and why, newest first: the chain of events that the pointer reaches."""
        current = self.read()
        events = [current[0]] if current else []
        while events and events[-1].previous_event is not None:
            uri = self._event(events[-1].generation - 1, events[-1].previous_event)
            stored = s3.get(uri)
            if stored is None:
                raise RegistryError(f"{uri}: an event of the history is missing")
            events.append(parse_document(Champion, stored[0], uri))
        return events

    def _event(self, generation: int, event: str) -> str:
        return s3.join(self.uri, "history", f"{generation:06d}-{event}.json")


def parse_document(kind: type[Document], body: bytes, uri: str) -> Document:
    """Parse a JSON object of S3. Raises DamagedError when it is something else."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise DamagedError(f"{uri}: damaged ({error.errors()[0]['msg']})") from None
