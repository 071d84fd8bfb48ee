"""States as another layout of the same key has them: windows that both have keep what they hold."""

from collections.abc import Iterator, Sequence

import numpy as np

from fraud.history.layout import HEADER, Layout, Window


def follows(old: Layout, new: Layout) -> bool:
    """Whether they are histories of one key column."""
    return old.declared.key == new.declared.key


def kept(old: Layout, new: Layout) -> list[bool]:
    """Of each window of ``new`` whether ``old`` holds it whole: the same buckets, and all columns that are summed."""
    return [_before(old, new, window) is not None for window in new.windows]


def carried(old: Layout, new: Layout, states: Sequence[bytes]) -> list[bytes]:
    """States of ``old`` as ``new`` has them: windows that it did not hold are empty."""
    before = np.frombuffer(b"".join(states), np.uint8).reshape(-1, old.size)
    after = np.zeros((len(before), new.size), np.uint8)
    after[:, :HEADER] = before[:, :HEADER]
    for window in new.windows:
        found = _before(old, new, window)
        if found is not None:
            for (start, size), (to, _) in zip(_rings(old, found, new), _rings(new, window, new), strict=True):
                after[:, to : to + size] = before[:, start : start + size]
    return [row.tobytes() for row in after]


def whole_from(new: Layout, place: int, now: float) -> float:
    """When a window that began empty ``now`` (seconds since 1970) holds all that it should."""
    window: Window = new.windows[place]
    return now + window.width * window.ring / 1e6


def _before(old: Layout, new: Layout, window: Window) -> Window | None:
    columns, known = new.declared.columns, old.declared.columns
    for one in old.windows:
        is_same = (one.width, one.ring) == (window.width, window.ring) and (one.frauds >= 0 or window.frauds < 0)
        if is_same and all(name in known and _column(old, name) == _column(new, name) for name in columns):
            return one
    return None


def _column(layout: Layout, name: str) -> tuple[float, bool]:
    place = layout.declared.columns.index(name)
    return layout.scales[place], layout.nullable[place]


def _rings(layout: Layout, window: Window, wanted: Layout) -> Iterator[tuple[int, int]]:
    """Where the rings stand that ``wanted`` has, and how many bytes they take: those of its columns, in their order."""
    places = [layout.declared.columns.index(name) for name in wanted.declared.columns]
    yield window.counts, 4 * window.ring
    if wanted.delay_us >= 0:
        yield window.frauds, 4 * window.ring
    for place in places:
        yield window.sums[place], 8 * window.ring
        if wanted.nullable[wanted.declared.columns.index(layout.declared.columns[place])]:
            yield window.values[place], 4 * window.ring
