"""States of keys in a file, so that histories go on where rows ended: Parquet, a row for each key of each history.

The file says what its states are of: the layouts, the secret that keys were hashed with, the time of the newest row.
Its pages carry checksums.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from fraud.atomic import replacing
from fraud.errors import FraudError, ModelError, system_words
from fraud.history.keys import KEY_BYTES
from fraud.history.layout import FURTHEST, Layout, layouts
from fraud.manifest import StoredDocument
from fraud.replay.grouped import StatesOf
from fraud.replay.keyed import Keys
from fraud.replay.readable import instant
from fraud.replay.states import States
from fraud.schema import Schema

FORMAT = 1
_FACTS = b"fraud_history"
_REMEDY = "build it again with `python -m training history build`"
_HOW: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": False,
    "write_statistics": False,
    "write_page_checksum": True,
}
_COLUMNS = pyarrow.schema(
    {"history": pyarrow.int32(), "key": pyarrow.binary(KEY_BYTES), "state": pyarrow.large_binary()}
)

Part = tuple[int, Keys, StatesOf]
"""Number of the history, keys, and their states."""


class Facts(StoredDocument):
    """What a file of states says of itself."""

    format: int = FORMAT
    schema_name: str
    layouts: tuple[str, ...]
    """The fingerprint of each."""
    key_fingerprint: str
    as_of_us: int | None = Field(ge=-FURTHEST, le=FURTHEST)
    """Microseconds since 1970: the newest row; None where there was none."""
    rows: int
    """How many were counted."""
    built_at: float | None = None
    """Seconds since 1970: when it was begun to count them, with the labels of then; older files do not say."""

    @property
    def as_of(self) -> str:
        """In words, ISO 8601."""
        return "no row" if self.as_of_us is None else instant(self.as_of_us)


class StateFile:
    """One that is there: its facts, and its states, a row group at a time."""

    def __init__(self, path: Path, schema: Schema, key_fingerprint: str | None) -> None:
        """Raises ModelError where it is damaged, or of other layouts, or keys were hashed with another secret."""
        self.path, self.facts = path, read_facts(path)
        self.layouts = layouts(schema)
        self._check(schema, key_fingerprint)

    def parts(self) -> Iterator[Part]:
        """All states. Raises ModelError where a page is not what was written."""
        for table in _groups(self.path):
            numbers = table["history"].to_numpy()
            for number in np.unique(numbers).tolist():
                yield _part(number, table.filter(pyarrow.array(numbers == number)), self._layout(number), self.path)

    def of_keys(self, keys: Collection[bytes]) -> Iterator[Part]:
        """The states of some keys. Raises ModelError as ``parts`` does."""
        for number, own, states in self.parts():
            are = np.array([bytes(key) in keys for key in own], dtype=bool)
            if are.any():
                yield number, own[are], states[are]

    def states(self, schema: Schema) -> States:
        """All of them in memory."""
        found = States(schema)
        for part in self.parts():
            found.put(*part)
        return found

    def _layout(self, number: int) -> Layout:
        if not 0 <= number < len(self.layouts):
            raise _damaged(self.path, f"it holds states of history {number}")
        return self.layouts[number]

    def _check(self, schema: Schema, key_fingerprint: str | None) -> None:
        expected = tuple(layout.fingerprint for layout in self.layouts)
        if self.facts.layouts != expected:
            other = (
                f"its states are of other [[history]] tables, of {self.facts.schema_name}, than those of {schema.name}"
            )
            raise ModelError(f"{self.path}: {other}: {_REMEDY}")
        theirs = self.facts.key_fingerprint
        if key_fingerprint not in (None, theirs):
            other = f"hashed with the secret of fingerprint {theirs}, not with that of {key_fingerprint}, which is set"
            raise ModelError(f"{self.path}: its keys were {other}: set FRAUD_KEY_SECRET to theirs, or {_REMEDY}")


class Writer:
    """What puts states into a new file; ``rows`` and ``as_of_us`` are noted when it ends."""

    def __init__(self, file: pyarrow.parquet.ParquetWriter) -> None:
        self.keys = 0
        self.rows = 0
        self.as_of_us: int | None = None
        self._file = file

    def saw(self, rows: int, newest_us: int | None) -> None:
        """So many rows were counted, up to this time."""
        self.rows, self.as_of_us = rows, newest_us

    def put(self, number: int, keys: Keys, states: StatesOf) -> None:
        """States of keys of one history: a row group."""
        if not len(keys):
            return
        self.keys += len(keys)
        offsets = pyarrow.py_buffer(np.arange(len(keys) + 1, dtype=np.int64) * states.shape[1])
        data = pyarrow.py_buffer(np.ascontiguousarray(states))
        columns = [
            pyarrow.array(np.full(len(keys), number, dtype=np.int32)),
            pyarrow.Array.from_buffers(
                pyarrow.binary(KEY_BYTES), len(keys), [None, pyarrow.py_buffer(np.ascontiguousarray(keys))]
            ),
            pyarrow.Array.from_buffers(pyarrow.large_binary(), len(keys), [None, offsets, data]),
        ]
        self._file.write_table(pyarrow.Table.from_arrays(columns, schema=_COLUMNS))


@contextmanager
def writing(target: Path, schema: Schema, key_fingerprint: str) -> Iterator[Writer]:
    """A new file of states; it appears whole, when the block ends, or not at all. Raises FraudError."""
    built_at = time.time()
    with _new(target) as file:
        writer = Writer(file)
        yield writer
        facts = Facts(
            schema_name=schema.name,
            layouts=tuple(layout.fingerprint for layout in layouts(schema)),
            key_fingerprint=key_fingerprint,
            as_of_us=writer.as_of_us,
            rows=writer.rows,
            built_at=built_at,
        )
        _note(file, facts)


def without(path: Path, keys: Collection[bytes]) -> int:
    """Write a file of states again without those of ``keys``; how many states went. Without any it stays as it is.

    Raises ModelError, FraudError.
    """
    held = sum(int(_are_of(keys, table).sum()) for table in _groups(path))
    if held:
        facts = read_facts(path)
        with _new(path) as file:
            for table in _groups(path):
                file.write_table(table.filter(pyarrow.array(~_are_of(keys, table))))
            _note(file, facts)
    return held


def read_facts(path: Path) -> Facts:
    """What a file of states says of itself. Raises ModelError where it is none."""
    try:
        said = pyarrow.parquet.read_metadata(path).metadata or {}
        return Facts.model_validate_json(said[_FACTS])
    except (pyarrow.ArrowException, OSError, ValidationError, KeyError) as error:
        raise _damaged(path, system_words(error)) from None


def _groups(path: Path) -> Iterator[pyarrow.Table]:
    """Row group by row group."""
    try:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number).cast(_COLUMNS)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, system_words(error)) from None


def _part(number: int, table: pyarrow.Table, layout: Layout, path: Path) -> Part:
    """Raises ModelError where a state is not as long as those of its layout are."""
    count = len(table)
    keys = np.frombuffer(b"".join(table["key"].to_pylist()), dtype=np.uint8)
    states = np.frombuffer(b"".join(table["state"].to_pylist()), dtype=np.uint8)
    if table["state"].null_count or len(keys) != count * KEY_BYTES or len(states) != count * layout.size:
        raise _damaged(path, f"a state of history {number} is not of {layout.size} bytes")
    return number, keys.reshape(count, KEY_BYTES), states.reshape(count, layout.size)


def _are_of(keys: Collection[bytes], table: pyarrow.Table) -> NDArray[np.bool_]:
    return np.array([key in keys for key in table["key"].to_pylist()], dtype=bool)


@contextmanager
def _new(target: Path) -> Iterator[pyarrow.parquet.ParquetWriter]:
    """Readable by its owner alone: whoever reads it knows how often each key pays."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(target) as part:
            part.touch(mode=0o600)
            with pyarrow.parquet.ParquetWriter(part, _COLUMNS, **_HOW) as file:
                yield file
    except OSError as error:
        raise FraudError.not_writable(target, error) from None


def _note(file: pyarrow.parquet.ParquetWriter, facts: Facts) -> None:
    file.add_key_value_metadata({_FACTS: facts.model_dump_json().encode()})


def _damaged(path: Path, problem: str) -> ModelError:
    return ModelError(f"{path}: is no whole file of histories ({problem}): {_REMEDY}")
