"""What keys of a file did before, for a model that looks at it: its saved state, and the rows of the file in order.

As the service does it: a row adds to the state of its keys and sees itself; of rows with one id the first counts, and
the others get what it got, as long as it is among the last ``IDS``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow
from numpy.typing import NDArray

from fraud import home, store
from fraud.errors import SettingsError
from fraud.inputs.keys import KeyHasher
from fraud.manifest import sha256
from fraud.replay.state_file import StateFile
from fraud.replay.states import States
from fraud.schema import Schema
from fraud.settings import Settings
from fraud.tables import keys
from fraud.tables.chunks import Chunk

Choice = Literal["model", "none"]
"""Whether to go on from the model's saved state, or to take every history for missing."""
COLUMN = "history"
"""Of the output: which state the scores went on from."""
IDS = 200_000
ODD = LATE, WITHIN = "rows_out_of_order", "rows_within_state"
"""Of the answer: rows older than one before them, and rows not younger than the saved state."""
NOTHING_SAVED = "no state is saved for this model: windows begin with the first row"


class Histories:
    """Those of one file."""

    def __init__(self, states: States, hasher: KeyHasher, saved: StateFile | None, stamp: str) -> None:
        self.hasher, self.stamp = hasher, stamp
        self._states, self._saved = states, saved
        self._known = dict[str, NDArray[np.float64]]()
        self._latest = np.iinfo(np.int64).min
        self._odd = [0, 0]

    def told(self) -> dict[str, Any]:
        """For the answer: the state in words, and how many rows are odd, where any are."""
        return {COLUMN: self._words(), **{name: rows for name, rows in zip(ODD, self._odd, strict=True) if rows}}

    def _words(self) -> str:
        if self._saved is None:
            return NOTHING_SAVED
        return f"the state of {self._saved.path.stem} as of {self._saved.facts.as_of}"

    def rows(self, chunk: Chunk) -> NDArray[np.float64]:
        """The rows with their histories behind them; the rows of a file are to be given in its order."""
        schema = self._states.schema
        if absent := keys.absent(chunk.keys, schema):
            raise keys.no_history_of(absent, schema, "; `--history none` takes them for missing")
        self._look(self._states.times(chunk.rows))
        found = self._states.advance(chunk.rows, chunk.keys) if chunk.ids is None else self._once(chunk, chunk.ids)
        return np.hstack([chunk.rows, found])

    def _look(self, times: NDArray[np.int64]) -> None:
        """Count the rows that come late, and those that the saved state may hold already."""
        latest = np.maximum.accumulate(np.append(self._latest, times))
        self._latest = latest[-1]
        self._odd[0] += int((times < latest[:-1]).sum())
        if self._saved is not None and self._saved.facts.as_of_us is not None:
            self._odd[1] += int((times <= self._saved.facts.as_of_us).sum())

    def _once(self, chunk: Chunk, ids: pyarrow.Array) -> NDArray[np.float64]:
        """Features of rows with ids."""
        names, known = ids.to_pylist(), self._known
        first = np.ones(len(names), dtype=np.bool_)
        for place, name in enumerate(names):
            first[place] = name not in known
            if name is not None:
                known.setdefault(name, _NOTHING)
        found = np.empty((len(names), len(self._states.schema.histories)))
        hashes = {name: own[first] for name, own in chunk.keys.items()}
        found[first] = self._states.advance(chunk.rows[first], hashes)
        for place in np.flatnonzero(first).tolist():
            if names[place] is not None:
                known[names[place]] = found[place]
        for place in np.flatnonzero(~first).tolist():
            found[place] = known[names[place]]
        while len(known) > IDS:
            del known[next(iter(known))]
        return found


_NOTHING = np.empty(0)


def of_model(served: store.Served, choice: Choice) -> Histories | None:
    """Of a model that looks at histories those to go on from; None where there are none to be had.

    Raises DataError without the secret that keys are hashed with, ModelError where the saved state is not the model's.
    """
    schema = served.features.schema
    if not schema.history or choice == "none":
        return None
    hasher = Settings.from_env().key_hasher
    if hasher is None:
        raise SettingsError.no_secret(schema.name, served.manifest.key_fingerprint)
    keys.check_secret(served.version, served.manifest.key_fingerprint, hasher)
    path = home.history_path(served.version)
    if not path.is_file():
        return Histories(States(schema), hasher, None, "empty")
    saved = StateFile(path, schema, hasher.fingerprint)
    return Histories(saved.states(schema), hasher, saved, _stamp(served.version))


def doubts(answer: Mapping[str, Any]) -> Iterator[str]:
    """What to think of before the scores of an answer are used, in words."""
    if answer.get(COLUMN) == NOTHING_SAVED:
        yield f"{NOTHING_SAVED}; `python -m training history build` makes one"
    if late := answer.get(LATE):
        yield f"{late} rows are older than one before them, which did not see them: sort the file by time"
    if within := answer.get(WITHIN):
        yield f"{within} rows are not younger than the saved state: those that it was counted of count twice"


def stamp_of(schema: Schema, version: str, choice: Choice) -> str | None:
    """What an output says of the state that it went on from; None where the model looks at no history."""
    if not schema.history:
        return None
    if choice == "none":
        return "none"
    return _stamp(version) if home.history_path(version).is_file() else "empty"


def facts(schema: Schema, version: str, choice: Choice) -> dict[str, Any]:
    """What pieces of an output depend on."""
    stamp = stamp_of(schema, version, choice)
    return {} if stamp is None else {COLUMN: stamp}


def _stamp(version: str) -> str:
    return f"sha256:{sha256(home.history_path(version))}"
