"""How the times of a column are written: every format that fits all of its values so far."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

ISO = "ISO 8601"
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"
_WITH_ZONE = r"^.{11,}(?:Z|[+-]\d{2}:?\d{2})$"
_DAYS = (
    "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%Y%m%d",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
DIGITS = {"%Y%m%d%H%M": r"(?:19|20)\d{10}", "%Y%m%d%H%M%S": r"(?:19|20)\d{12}"}
"""Formats without a mark between their parts; each takes texts of one length alone."""
_PLAIN = [*(day + clock for day in _DAYS for clock in _CLOCKS), *DIGITS]


@dataclass(frozen=True)
class Span:
    """The first and the last of points of time."""

    earliest: pd.Timestamp
    latest: pd.Timestamp
    has_clock: bool
    """Whether one has a time of day other than midnight."""

    def joined(self, other: "Span") -> "Span":
        """Of both."""
        first, last = min(self.earliest, other.earliest), max(self.latest, other.latest)
        return Span(first, last, has_clock=self.has_clock or other.has_clock)


class TimeFormats:
    """Starts with all formats that the first value fits, and drops those that a later one does not."""

    def __init__(self) -> None:
        self.formats: tuple[str, ...] | None = None
        """None before the first value."""
        self.zoned = False
        self.unzoned = False
        self._spans: dict[str | None, Span] = {}
        """By format: one that falls later has read the first values wrongly."""

    @property
    def span(self) -> "Span | None":
        """Of the first format that fits; None where there is no time."""
        form = self.formats[0] if self.formats else None
        return self._spans.get(form)

    def add(self, texts: pd.Index) -> None:
        """Take in different texts of a chunk, none of which stands for a missing value."""
        if not len(texts) or self.formats == ():
            return
        if self.formats is None:
            self.formats = tuple(form for form in (ISO, *_PLAIN) if _fits_one(str(texts[0]), form))
        few, whole = texts[:20], pd.Series(texts, dtype="str")
        fitting = [form for form in self.formats if all(_fits_one(str(text), form) for text in few)]
        self.formats = tuple(form for form in fitting if self._fits(whole, form))

    def _fits(self, texts: "pd.Series[str]", form: str) -> bool:
        if form == ISO and not texts.str.match(_ISO).all():
            return False
        if form in DIGITS and not texts.str.fullmatch(DIGITS[form]).all():
            return False
        moments = pd.to_datetime(texts, format="ISO8601" if form == ISO else form, errors="coerce", utc=True)
        if moments.isna().any():
            return False
        zoned = texts.str.contains(_WITH_ZONE) if form == ISO else pd.Series([False])
        self.zoned |= bool(zoned.any())
        self.unzoned |= not zoned.all()
        self.add_moments(moments, form)
        return True

    def add_moments(self, moments: "pd.Series[pd.Timestamp]", form: str | None = None) -> None:
        """Take in points of time, read as ``form`` where they were text."""
        if len(moments):
            has_clock = bool((moments != moments.dt.normalize()).any())
            own = Span(moments.min(), moments.max(), has_clock=has_clock)
            self._spans[form] = own if form not in self._spans else self._spans[form].joined(own)


def _fits_one(text: str, form: str) -> bool:
    if form == ISO:
        return re.match(_ISO, text) is not None
    if form in DIGITS:
        if not re.fullmatch(DIGITS[form], text):
            return False
    elif form.startswith("%Y%m%d") and not re.match(r"(?:19|20)\d{6}(?: |$)", text):
        return False
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def swapped(forms: Iterable[str]) -> Sequence[str]:
    """Those of ``forms`` that read the same texts with day and month the other way round; empty where one is alone."""
    found = list(forms)
    return found if len({form.replace("%d", "%m") for form in found}) == 1 < len(found) else []
