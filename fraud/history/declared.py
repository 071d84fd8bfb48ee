"""``[[history]]`` of a schema: whose history, over which windows, and what is made of it."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,64}$", strip_whitespace=False)]
Op = Literal["count", "sum", "mean", "ratio", "seconds_since_last", "fraud_count", "fraud_share"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_OF_COLUMN = ("sum", "mean", "ratio")
_OF_LABELS = ("fraud_count", "fraud_share")
_PLAIN = ("count", "seconds_since_last", *_OF_LABELS)
LONGEST_SECONDS = 400 * 86_400
MOST_FEATURES = 120
"""Of all histories: each may be missing, and takes two of a forest's 256 cells."""
MOST_BUCKETS = 4_096
"""Of one window, those of its label delay included: each takes 4 bytes or more of every key."""


class Made(NamedTuple):
    """One feature of a history: ``window`` is its place among the windows, -1 for what has none."""

    name: str
    op: Op
    column: str | None
    window: int


def seconds(span: str) -> int:
    """``"10m"``, ``"1h"``, ``"7d"`` as seconds. Raises ValueError."""
    found = _SPAN.fullmatch(span)
    length = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < length <= LONGEST_SECONDS:
        longest = LONGEST_SECONDS // 86_400
        raise ValueError(f'{span!r} is no length of time: write "10m", "1h" or "7d", at most "{longest}d"')
    return length


class History(BaseModel):
    """One table of ``[[history]]``.

    A window is ``buckets`` whole buckets aligned to 1970 before the current one, and the current one. Of labels only
    whole buckets are read that ended ``label_delay`` ago.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: Name
    windows: tuple[str, ...] = Field(min_length=1, max_length=16)
    of: tuple[str, ...] = Field(min_length=1, max_length=64)
    buckets: int = Field(24, ge=1, le=1_000, description="Buckets a window.")
    label_delay: str | None = Field(None, description="How late labels are.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        spans = [seconds(span) for span in self.windows]
        if len(set(spans)) < len(spans):
            raise ValueError(f"windows lists one length twice: {', '.join(self.windows)}")
        if len(set(self.of)) < len(self.of):
            raise ValueError("of lists one thing twice")
        ops = [_parted(item) for item in self.of]
        labels = [op for op, _ in ops if op in _OF_LABELS]
        if labels and self.label_delay is None:
            raise ValueError(f'{labels[0]} needs label_delay, such as "7d": how late labels are known')
        if self.label_delay is not None and not labels:
            raise ValueError(f"label_delay is only of use with {' or '.join(_OF_LABELS)}")
        for span, length in zip(self.windows, spans, strict=True):
            if (needed := self.ring(length)) > MOST_BUCKETS:
                raise ValueError(
                    f'a window of "{span}" in {self.buckets} buckets with a label_delay of "{self.label_delay}" needs '
                    f"{needed:,} of them, and {MOST_BUCKETS:,} are the most: leave the window out, or use fewer buckets"
                )
        return self

    @property
    def spans(self) -> tuple[int, ...]:
        """Seconds of each window."""
        return tuple(map(seconds, self.windows))

    @property
    def delay(self) -> int | None:
        """Seconds of the label delay."""
        return None if self.label_delay is None else seconds(self.label_delay)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are summed, each once."""
        return tuple(dict.fromkeys(column for item in self.of if (column := _parted(item)[1]) is not None))

    @property
    def made(self) -> tuple[Made, ...]:
        """Its features, in order: one for each of ``of`` and each window, ``card_id.mean.amount.7d``."""
        found = []
        for op, column in map(_parted, self.of):
            middle = op if column is None else f"{op}.{column}"
            if op == "seconds_since_last":
                found.append(Made(f"{self.key}.{middle}", op, column, -1))
                continue
            found += [Made(f"{self.key}.{middle}.{span}", op, column, at) for at, span in enumerate(self.windows)]
        return tuple(found)

    def ring(self, length: int) -> int:
        """How many buckets of a window of ``length`` seconds are kept."""
        width = width_us(length, self.buckets)
        late = 0 if self.delay is None else -(-self.delay * 1_000_000 // width)
        return self.buckets + late + 1

    def holds_the_same_as(self, other: Self) -> bool:
        """Whether states of both are the same, whatever is made of them."""
        facts = [(one.model_dump(exclude={"of"}), one.columns) for one in (self, other)]
        return facts[0] == facts[1]


def width_us(length: int, buckets: int) -> int:
    """Microseconds of a bucket."""
    return length * 1_000_000 // buckets


def check(
    histories: tuple[History, ...], decimals: Mapping[str, int | None], keys: tuple[str, ...], time: object
) -> None:
    """Raise ValueError unless they fit the columns: ``decimals`` are those of each number, ``keys`` those of kind key,
    ``time`` the column of the role."""
    if (features := sum(len(one.made) for one in histories)) > MOST_FEATURES:
        raise ValueError(
            f"[[history]] makes {features:,} features of its windows, and {MOST_FEATURES} are the most that a forest "
            "takes: leave windows out, or some of what is made of them"
        )
    if histories and time is None:
        raise ValueError("[[history]] needs to know when: name the time in [roles]")
    for number, one in enumerate(histories):
        if any(one.holds_the_same_as(other) for other in histories[:number]):
            raise ValueError(f"[[history]] of {one.key} stands twice with the same windows: put what is made into one")
        if one.key not in keys:
            raise ValueError(f"[[history]] key = {one.key!r} should be a column of kind key")
        for column in one.columns:
            if column not in decimals:
                raise ValueError(f"[[history]] of {one.key} takes {column!r}, which is no column of kind number")
            if decimals[column] is None:
                raise ValueError(
                    f"[columns.{column}] is summed by [[history]], which keeps whole numbers: say how many decimals it "
                    "has, such as `decimals = 2`"
                )


def _parted(item: str) -> tuple[Op, str | None]:
    op, colon, column = item.partition(":")
    if op in _OF_COLUMN and column:
        return op, column  # type: ignore[return-value] # it was looked up
    if op in _PLAIN and not colon:
        return op, None  # type: ignore[return-value]
    known = ", ".join((*_PLAIN, *(f"{name}:COLUMN" for name in _OF_COLUMN)))
    raise ValueError(f"of has {item!r}; it may have {known}")
