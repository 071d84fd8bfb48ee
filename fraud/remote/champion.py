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
from fraud.manifest import StoredDocument, first_problem, is_newer
from fraud.remote import conditions, s3
from fraud.remote.actor import actor

FILE = "champion.json"
_RESTORE = "put the newest object of history/ in its place, as docs/recovery.md says"

Document = TypeVar("Document", bound=BaseModel)
VerdictWord = Literal["passed", "refused", "none"]
"""What the gate said of a version; none where it was not asked."""


class Champion(StoredDocument):
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
    proved_at: str | None = None
    """The endpoint where conditional writes were proved to hold: at another one, they are before the next promotion."""


@dataclass(frozen=True)
class Pointer:
    """The champion pointer below one ``s3://bucket/prefix``."""

    uri: str

    def read(self) -> tuple[Champion, str] | None:
        """The champion and the pointer's ETag, or None before the first.

        Raises RegistryError when S3 fails, DamagedError when the pointer is damaged, or gone: as nobody's, the place
        would go to the next model, whatever it is.
        """
        uri = s3.join(self.uri, FILE)
        stored = s3.get(uri)
        if stored is None:
            folder = s3.join(self.uri, "history", "")
            events = [_generation(key.removeprefix(folder)) for key in s3.keys(folder)]
            if max(events, default=0) > 1:  # the pointer of the first may never have been written
                raise DamagedError(f"{uri}: is gone, though there was a champion; {_RESTORE}")
            return None
        return parse_document(Champion, stored[0], uri, _RESTORE), stored[1]

    def crown(
        self, version: str, current: tuple[Champion, str] | None, reason: str, verdict: VerdictWord = "none"
    ) -> Champion:
        """Make ``version`` champion after ``current``, which was read before the decision.

        Raises ConflictError when the pointer is no longer what was read, UnsupportedError where the server could let
        two such changes win.
        """
        before = current[0] if current else None
        endpoint = s3.client().meta.endpoint_url
        if before is None or before.proved_at != endpoint:
            conditions.require(self.uri)
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
            proved_at=endpoint,
        )
        s3.put(self._event(champion.generation, champion.event), champion.model_dump())
        etag = current[1] if current else None
        try:
            s3.put(s3.join(self.uri, FILE), champion.model_dump(), replacing=etag, new=current is None)
        except ConflictError:
            # boto3 tries again when an answer is lost, and then meets its own first write
            if all(event.event != champion.event for event in self.history(since=champion.generation)):
                raise
        return champion

    def history(self, since: int = 1) -> list[Champion]:
        """Who was champion when and why, newest first: the chain of events that the pointer reaches.

        It ends at the generation ``since``. What was written is listed and read at once; what the chain does not
        reach is left alone.
        """
        current = self.read()
        events = [current[0]] if current else []
        stored = self._stored(since, events[0].generation) if events else {}
        while events and events[-1].previous_event is not None and events[-1].generation > since:
            uri = self._event(events[-1].generation - 1, events[-1].previous_event)
            found = stored.get(uri) or s3.get(uri)  # some servers list late
            if found is None:
                raise RegistryError(f"{uri}: an event of the history is missing; docs/recovery.md says how to mend it")
            events.append(parse_document(Champion, found[0], uri))
        return events

    def _stored(self, since: int, until: int) -> dict[str, tuple[bytes, str] | None]:
        """The events from one generation up to another, that left out, and lost races too, by their addresses."""
        folder = s3.join(self.uri, "history", "")
        uris = [uri for uri in s3.keys(folder) if since <= _generation(uri.removeprefix(folder)) < until]
        return dict(zip(uris, s3.get_all(uris), strict=True))

    def _event(self, generation: int, event: str) -> str:
        return s3.join(self.uri, "history", f"{generation:06d}-{event}.json")


def _generation(name: str) -> int:
    """Of the name of an event; -1 for another file."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else -1


def parse_document(kind: type[Document], body: bytes, uri: str, remedy: str = "") -> Document:
    """Parse a JSON object of S3. Raises DamagedError when it is something else, or of a later format."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problem = first_problem(error).removeprefix(": ")
        damage = f"damaged ({problem}){remedy and f'; {remedy}'}"
        raise DamagedError(f"{uri}: {problem if is_newer(error) else damage}") from None
