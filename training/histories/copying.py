"""States from one store into another, or into a schema that gained a window, without losing what they hold."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from fraud.errors import DataError
from fraud.history.labels import Mark
from fraud.history.layout import Layout
from fraud.history.stores import AnyStore
from fraud.replay.readable import instant
from training.histories import carried, online

_AT_ONCE = 64
_WAIT_SECONDS = 10.0


class Copied(NamedTuple):
    """Keys that the target has now, and those it had before; when windows that began empty are whole, by name."""

    added: int
    there: int
    whole_from: dict[str, str]


_Pair = tuple[Layout | None, Layout]


def pairs(old: Sequence[Layout], new: Sequence[Layout]) -> list[_Pair]:
    """Which history of the old schema each of the new one goes on from, if any. Raises DataError where none does."""
    found = list[_Pair]()
    for own in new:
        before = [one for one in old if carried.follows(one, own)]
        same = [one for one in before if one.fingerprint == own.fingerprint]
        best = same or sorted(before, key=lambda one: -sum(carried.kept(one, own)))
        found.append((best[0] if best and any(carried.kept(best[0], own)) else None, own))
    if all(before is None for before, _ in found):
        raise DataError("no window of the one model is one of the other's: there is nothing to copy")
    return found


def copy(source: AnyStore, target: AnyStore, layouts: Sequence[_Pair]) -> Copied:
    """Put states of keys that the target does not have; those it has are newer, and stay. Raises HistoryError.

    Done twice, the second changes nothing. Labels that the source's states count are noted as applied.
    """
    added = there = 0
    now, labelled = time.time(), source.labels()
    held = {new.fingerprint: labelled.get(old.fingerprint, Mark()).until for old, new in layouts if old is not None}
    online.hold_labels(target, {own: one for own, one in held.items() if one})
    for old, new in layouts:
        if old is None:
            continue
        for keys, states in source.parts(old):
            given = states if old.fingerprint == new.fingerprint else carried.carried(old, new, states)
            for low in range(0, len(keys), _AT_ONCE):
                names, some = keys[low : low + _AT_ONCE], given[low : low + _AT_ONCE]
                newest = max(int.from_bytes(one[8:16], "little", signed=True) for one in some)
                with target.gate.held(_WAIT_SECONDS):
                    begun = target.begin(new, names, some, min(newest, int(now * 1e6)))
                added, there = added + begun, there + len(names) - begun
    target.sync()
    return Copied(added, there, dict(_whole_from(layouts, now)))


def _whole_from(layouts: Sequence[_Pair], now: float) -> Any:  # noqa: ANN401 - pairs of texts
    for old, new in layouts:
        kept = [False] * len(new.windows) if old is None else carried.kept(old, new)
        for place, is_kept in enumerate(kept):
            if not is_kept:
                name = f"{new.declared.key}.{new.declared.windows[place]}"
                yield name, instant(int(carried.whole_from(new, place, now) * 1e6))
