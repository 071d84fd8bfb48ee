"""What a state holds, for people: what its windows add up to at one time, without adding anything."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.history.layout import MICROSECONDS, Layout, Window


def document(layout: Layout, state: NDArray[np.uint8], at_us: int | None = None) -> dict[str, Any]:
    """The latest transaction, and each window as it is at ``at_us``, by default at the latest transaction.

    ``state``: uint8 ``(layout.size,)``. Of labels it says what is known by then.
    """
    _seen, latest = state[:16].view("<i8").tolist()
    at = latest if at_us is None else max(at_us, latest)
    spans = zip(layout.declared.windows, layout.windows, strict=True)
    return {
        "key_column": layout.declared.key,
        "latest": instant(latest),
        "as_of": instant(at),
        "windows": {span: _window(layout, state, window, latest, at) for span, window in spans},
    }


def words(known: dict[str, Any]) -> str:
    """The same in a line or two."""
    parts = []
    for span, held in known["windows"].items():
        sums = [f"{name} {value:g}" for name, value in held.items() if name != "count"]
        parts.append(f"{span}: {held['count']}" + (f" ({', '.join(sums)})" if sums else ""))
    return f"{known['key_column']}, latest {known['latest']}; transactions in the last {'; '.join(parts)}"


def instant(time_us: int) -> str:
    """Microseconds since 1970 as ISO 8601; in seconds what no calendar has."""
    try:
        return datetime.fromtimestamp(time_us / MICROSECONDS, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_us / MICROSECONDS:.0f} seconds since 1970"


def _window(layout: Layout, state: NDArray[np.uint8], window: Window, latest: int, at: int) -> dict[str, float]:
    newest, current, buckets = latest // window.width, at // window.width, layout.declared.buckets

    def total(offset: int, kind: str, low: int, high: int) -> int:
        ring = state[offset : offset + window.ring * np.dtype(kind).itemsize].view(kind)
        numbers = np.arange(max(low, newest - window.ring + 1), min(high, newest) + 1)
        return int(ring[numbers % window.ring].sum(dtype=np.int64))

    held: dict[str, float] = {"count": total(window.counts, "<u4", current - buckets, current)}
    for column, scale, offset in zip(layout.declared.columns, layout.scales, window.sums, strict=True):
        held[f"sum:{column}"] = total(offset, "<i8", current - buckets, current) / scale
    if window.frauds >= 0:
        end = (at - layout.delay_us) // window.width
        held["known_count"] = total(window.counts, "<u4", end - buckets, end - 1)
        held["known_frauds"] = total(window.frauds, "<u4", end - buckets, end - 1)
    return held
