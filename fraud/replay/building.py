"""The histories of any number of files, which may be larger than memory: states of all keys, and features of all rows.

The files are read once, a chunk at a time, and spilled to disk as records in parts of keys (``fraud.replay.records``);
then each part is sorted by time and counted, several at once. In memory are a chunk, what waits to be written, and for
each thread a part: the rows of a 256th of all keys once files are large, but at least those of the busiest key.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fraud.errors import DataError, FraudError
from fraud.history.layout import layouts
from fraud.inputs.keys import KeyHasher
from fraud.remote.sources import Source
from fraud.replay import grouped, state_file
from fraud.replay.ahead import in_order, one_ahead
from fraud.replay.features_file import FeaturesFile
from fraud.replay.grouped import Told
from fraud.replay.keyed import Keyed, Keys
from fraud.replay.records import RowRecords, parts_of
from fraud.schema import Schema
from fraud.tables import chunks, keys
from fraud.tables.chunks import Chunk

CHUNK_ROWS = 65_536

Observer = Callable[[str, float, int], object]
"""Called on the way with what is read, or ``counting``, the share of it that is done, and the rows so far."""
COUNTING = "counting"


@contextmanager
def bar(shown: Console) -> Iterator[Observer]:
    """Progress on a terminal: a bar for each file, then one for all keys."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        tasks = dict[str, TaskID]()

        def observe(name: str, share: float, rows: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=1.0)
            progress.update(tasks[name], completed=share, description=f"{name}: {rows:,} rows", visible=share < 1)

        yield observe


class Built(NamedTuple):
    """What came of it."""

    facts: state_file.Facts
    keys: int
    """States of keys, over all histories."""
    duplicates: int
    """Rows whose id came again later."""


class _Counted(NamedTuple):
    """One part of one history."""

    number: int
    states: list[tuple[Keys, grouped.StatesOf]]
    rows: NDArray[np.int64]
    features: NDArray[np.float64] | None


def build(
    sources: Sequence[Source],
    schema: Schema,
    hasher: KeyHasher,
    target: Path,
    *,
    features: Path | None = None,
    threads: int | None = None,
    observer: Observer = lambda *_: None,
) -> Built:
    """Write the states of all keys as of the last row to ``target``, and to ``features`` those of each row.

    Rows are counted by their time; those of one time in the order of the files, and in them. Of rows with the same id
    the last given holds. Raises DataError that names the file, FraudError where there is no room.
    """
    if not schema.history:
        raise DataError(f"{schema.name}: declares no [[history]]; nothing is to be built")
    folder = target.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        size = sum(_bytes(source) for source in sources)
        with (
            closing(RowRecords.begun(schema, folder, parts_of(size))) as records,
            closing(FeaturesFile(schema, features or folder, wanted=features is not None)) as made,
        ):
            for source in sources:
                for chunk in one_ahead(_chunks(source, schema, hasher)):
                    records.add(chunk)
                    made.add_ids(chunk)
                    observer(source.name, chunk.share, records.rows)
            gone = records.superseded()
            duplicates = int(gone.sum())
            with state_file.writing(target, schema, hasher.fingerprint) as writer:
                for done, counted in enumerate(_counted(records, gone, threads, keep=features is not None), 1):
                    for part in counted.states:
                        writer.put(counted.number, *part)
                    made.add(counted.number, counted.rows, counted.features)
                    observer(COUNTING, done / (records.ids.parts * len(schema.history)), records.rows)
                writer.saw(records.rows - duplicates, records.newest_us)
                made.write(gone)
        return Built(state_file.read_facts(target), writer.keys, duplicates)
    except OSError as error:
        raise FraudError.not_writable(error.filename or folder, error) from None


def _bytes(source: Source) -> int:
    return 0 if source.is_remote else Path(source.name).stat().st_size if Path(source.name).is_file() else 0


def _chunks(source: Source, schema: Schema, hasher: KeyHasher) -> Iterator[Chunk]:
    """Those of one file, which has every key that a history is of. Raises DataError that names it."""
    labelled = any(one.label_delay is not None for one in schema.history)
    levels = dict.fromkeys(schema.categories, ())
    try:
        with source.local() as path:
            for chunk in chunks.read_chunks(path, schema, levels, CHUNK_ROWS, labelled=labelled, hasher=hasher):
                if absent := keys.absent(chunk.keys, schema):
                    raise keys.no_history_of(absent, schema)
                yield chunk
    except DataError as error:
        said = str(error)
        raise DataError(said if said.startswith(source.name) else f"{source.name}: {said}") from None


def _counted(records: RowRecords, gone: NDArray[np.bool_], threads: int | None, *, keep: bool) -> Iterator[_Counted]:
    def count(item: tuple[int, int]) -> _Counted:
        return _count(records, gone, *item, keep=keep)

    items = [(number, part) for number in range(len(records.histories)) for part in range(records.ids.parts)]
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        yield from in_order(pool, count, items)


def _count(records: RowRecords, gone: NDArray[np.bool_], number: int, part: int, *, keep: bool) -> _Counted:
    """The rows of some keys, by time, through their histories."""
    layout = layouts(records.schema)[number]
    own = records.histories[number].read(part)
    own = own[~gone[own["row"]]]
    if (np.diff(own["time"]) < 0).any():  # they lie in the order given
        own = own[np.argsort(own["time"], kind="stable")]
    keyed = Keyed.of_halves(own["high"], own["low"])
    told = Told(np.ascontiguousarray(own["time"]), own["values"], np.ascontiguousarray(own["fraud"]))
    features = np.empty((len(own), len(layout.made))) if keep else None
    states = [*grouped.advanced(number, layout, keyed, told, features)]
    return _Counted(number, states, own["row"].copy(), features)
