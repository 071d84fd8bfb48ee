"""The online store of this machine, beside a service that may run: begun from a saved state, read, and erased from."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fraud.errors import FraudError, ModelError
from fraud.history.address import is_remote, shown
from fraud.history.files import folder
from fraud.history.files.folder import url_of
from fraud.history.labels import Mark
from fraud.history.layout import MICROSECONDS, Layout
from fraud.history.stores import AnyStore, open_store
from fraud.replay import readable
from fraud.replay.state_file import StateFile
from fraud.settings import Settings

_AT_ONCE = 64
"""States that are put while the gate is held: about a millisecond."""
_WAIT_SECONDS = 10.0
_AHEAD_US = 86_400 * MICROSECONDS
"""How far clocks of others may be ahead."""


class Warmed(NamedTuple):
    """Keys of the saved state that the store has now, and those that it had before."""

    added: int
    there: int


def is_there(settings: Settings) -> bool:
    """Whether anybody began it; opening it would. In Redis it is taken to be there."""
    return is_remote(url_of(settings)) or (Path(url_of(settings).removeprefix(folder.SCHEME)) / folder.FACTS).is_file()


@contextmanager
def opened(layouts: Sequence[Layout], key_fingerprint: str, settings: Settings) -> Iterator[AnyStore]:
    """The store, open. Raises HistoryError where it cannot be used."""
    store = open_store(layouts, key_fingerprint, settings)
    try:
        yield store
    finally:
        store.close()


def warm(store: AnyStore, saved: StateFile) -> Warmed:
    """Put the states of keys that the store does not have; those it has are newer, and stay.

    The service then applies the labels that came since the states were built: those of before are in them. Raises
    HistoryError; ModelError where states are of the future: theirs would be the newest transactions for years.
    """
    latest = int(time.time() * MICROSECONDS) + _AHEAD_US
    if (saved.facts.as_of_us or 0) > latest:
        raise _future(saved)
    built = saved.facts.built_at or saved.path.stat().st_mtime
    hold_labels(store, {one.fingerprint: built for one in saved.layouts})
    added = there = 0
    newest = min(saved.facts.as_of_us or 0, int(time.time() * MICROSECONDS))
    for number, keys, states in saved.parts():
        layout = saved.layouts[number]
        if len(states) and states[:, 8:16].copy().view("<i8").max() > latest:
            raise _future(saved)
        for low in range(0, len(keys), _AT_ONCE):
            names = [*map(bytes, keys[low : low + _AT_ONCE])]
            content = [one.tobytes() for one in states[low : low + len(names)]]
            with store.gate.held(_WAIT_SECONDS):
                begun = store.begin(layout, names, content, newest)
            added, there = added + begun, there + len(names) - begun
    store.sync()
    return Warmed(added, there)


def hold_labels(store: AnyStore, until: Mapping[str, float]) -> None:
    """Have labels of before not applied to layouts, by fingerprint, whose states come and hold them already.

    Before they come: the service may be reading labels.
    """
    with store.gate.held(_WAIT_SECONDS):
        marks = store.labels()
        held = {own: Mark.of_state(until[own], one) if own in until else one for own, one in marks.items()}
        if held:
            store.note_labels(held)


def _future(saved: StateFile) -> ModelError:
    return ModelError(
        f"{saved.path}: holds transactions of the future, by the clock of this machine: set it, or correct the times "
        "of the rows and build it again with `python -m training history build`"
    )


def known(store: AnyStore, layouts: Sequence[Layout], key: bytes) -> list[dict[str, Any]]:
    """What it knows of a key, as of the key's latest transaction."""
    with store.gate.held(_WAIT_SECONDS):
        found = [(layout, store.states(layout, [key])[0]) for layout in layouts]
    return [readable.document(layout, np.frombuffer(state, np.uint8)) for layout, state in found if state]


def forget(store: AnyStore, keys: Collection[bytes]) -> int:
    """Erase keys from the states of all models; how many states went. A transaction that comes later begins anew."""
    with store.gate.held(_WAIT_SECONDS):
        gone = store.forget_everywhere([*keys])
    store.sync()
    return gone


def set_aside(settings: Settings) -> list[str]:
    """Names of files that a damaged store left, which may hold keys still."""
    if is_remote(url_of(settings)):
        return []
    return sorted(path.name for path in Path(url_of(settings).removeprefix(folder.SCHEME)).glob("*.damaged-*"))


def nowhere(settings: Settings) -> FraudError:
    """There is no store to look into."""
    return FraudError(f"{shown(url_of(settings))}: there is no online store; a service makes one, or `history warm`")
