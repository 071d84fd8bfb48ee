"""Score a file of transactions with a stored model: table in, table out, rows in their order.

The file is read, checked, scored and written a chunk at a time; see ``fraud.tables.chunks`` and ``fraud.bulk.pieces``.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from fraud import store
from fraud.bulk import histories
from fraud.bulk.histories import Choice, Histories
from fraud.bulk.pieces import Pieces, beside
from fraud.bulk.seen import Seen
from fraud.errors import DataError
from fraud.remote.sources import Source
from fraud.replay.ahead import one_ahead
from fraud.rows import ID_COLUMN
from fraud.tables import chunks, table
from fraud.tables.chunks import Chunk
from fraud.tables.extras import NO_EXTRAS, Aside, Extras

CHUNK_ROWS = 65_536
SUFFIXES = (".csv", ".parquet")

_SCORES = {"fraud_probability": pyarrow.float64(), "is_fraud": pyarrow.bool_()}
_SCHEMAS = (pyarrow.schema(_SCORES), pyarrow.schema({ID_COLUMN: pyarrow.string()} | _SCORES))
"""Of a piece, without ids and with them."""

OWN_COLUMNS = (ID_COLUMN, *_SCORES, "model_version")
"""What an output has, whatever is carried over."""

Observer = Callable[[float, int], None]
"""Called after each chunk with the share of the input that was read, and the number of rows that are scored."""


def score_file(
    source: Path,
    target: Path,
    tag: str,
    *,
    threads: int | None = None,
    observer: Observer | None = None,
    extras: Extras = NO_EXTRAS,
    history: Choice = "model",
) -> dict[str, Any]:
    """Write ``fraud_probability``, ``is_fraud`` and ``model_version`` of each row of ``source`` to ``target``.

    Both are CSV or Parquet, by suffix. ``transaction_id`` is carried over when given. The output appears whole or not
    at all; a run that was interrupted goes on where it stopped when called again. ``threads`` score, by default as
    many as there are cores. The answer counts, of the rows that this run scored, texts that the model does not know,
    and names columns without any value. ``extras`` says which other columns are carried over or dropped, ``history``
    whether a model that looks at histories goes on from its saved state.
    Raises DataError or ModelError.
    """
    check_target(Source(str(source)), target)
    entry = store.get(tag)
    served = store.open_served(entry)
    table.check_there(source)
    taken = (*OWN_COLUMNS, *((histories.COLUMN,) if served.features.schema.history else ()))
    aside = extras.of(source, served.features.schema, taken)
    facts, past = _facts(source, served, aside, history), histories.of_model(served, history)
    try:
        with beside(target, facts, lambda piece: _fits(piece, served.manifest.threshold, aside.kept)) as pieces:
            resumed, seen = pieces.rows, Seen(served.features)
            for chunk, rows, is_new in _told(one_ahead(_chunks(source, served, resumed, aside, past)), past, resumed):
                if not is_new:
                    continue
                seen.add(chunk.rows)
                pieces.add(_scored(chunk, rows, served, threads or os.cpu_count() or 1))
                if observer:
                    observer(chunk.share, pieces.rows)
            if _facts(source, served, aside, history) != facts:
                raise DataError(f"{source}: it, or the model's state, was changed while it was read; run it again")
            flagged, count = _join(pieces, target, _said(served, facts)), pieces.rows
    except OSError as error:
        raise DataError.not_writable(target, error) from None
    return {
        "output": str(target),
        "read_as": table.read_as(source, served.features.schema),
        "rows": count,
        "flagged": flagged,
        "model_version": served.version,
        "threshold": served.manifest.threshold,
        **seen.told(),
        **(past.told() if past else {histories.COLUMN: "left out"} if served.features.schema.history else {}),
        **({"resumed_at_row": resumed} if resumed else {}),
    }


def check_target(source: Source, target: Path) -> None:
    """Raise DataError unless ``target`` says its format, lies in a folder and is not ``source``."""
    if target.suffix not in SUFFIXES:
        raise DataError.wrong_suffix(target, *SUFFIXES)
    if not target.parent.is_dir():
        raise DataError.no_folder(target.parent)
    if source.is_remote or not target.exists():
        return
    path = Path(source.name)
    if path.exists() and target.samefile(path):
        raise DataError(f"{target}: is the input itself; choose another name")


def _facts(source: Path, served: store.Served, aside: Aside, history: Choice) -> dict[str, Any]:
    """What the pieces depend on: one that was made from anything else is of no use."""
    status = source.stat()
    return {
        "source": str(source.resolve()),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "chunk_rows": CHUNK_ROWS,
        "kept": list(aside.kept),
        "model_version": served.version,
        "forest_sha256": served.manifest.files[store.FOREST_FILE],
        "threshold": served.manifest.threshold,
        **histories.facts(served.features.schema, served.version, history),
    }


def _said(served: store.Served, facts: dict[str, Any]) -> dict[str, str]:
    """What each row of the output says of how it was made."""
    return {"model_version": served.version} | {name: facts[name] for name in (histories.COLUMN,) if name in facts}


def _told(
    items: Iterator[Chunk], past: Histories | None, resumed: int
) -> Iterator[tuple[Chunk, NDArray[np.float64], bool]]:
    """Chunks, their rows as the model takes them, and whether they are to be scored: rows that were scored before are
    counted again, where there are histories."""
    row = 0
    for chunk in items:
        row += len(chunk.rows)
        yield chunk, past.rows(chunk) if past else chunk.rows, past is None or row > resumed


def _chunks(source: Path, served: store.Served, start: int, aside: Aside, past: Histories | None) -> Iterator[Chunk]:
    path, hasher = served.features, past.hasher if past else None
    start = 0 if past else start
    return chunks.read_chunks(source, path.schema, path.encoding.levels, CHUNK_ROWS, start, aside, hasher=hasher)


def _scored(chunk: Chunk, rows: NDArray[np.float64], served: store.Served, threads: int) -> pyarrow.Table:
    scores = served.score(rows, threads=threads)
    return pyarrow.table(
        {
            **({} if chunk.ids is None else {ID_COLUMN: chunk.ids}),
            **{name: chunk.kept[name] for name in chunk.kept.column_names},
            "fraud_probability": scores,
            "is_fraud": scores >= served.manifest.threshold,
        }
    )


def _fits(piece: pyarrow.Table, threshold: float, kept: Sequence[str]) -> bool:
    """Whether a piece that was found could be one of ``_scored``."""
    if [name for name in piece.column_names if name in kept] != list(kept):
        return False
    piece = piece.drop_columns(list(kept))
    if piece.schema.remove_metadata() not in _SCHEMAS or any(column.null_count for column in piece.columns):
        return False
    if not 0 < len(piece) <= CHUNK_ROWS:
        return False
    scores = piece["fraud_probability"].to_numpy()
    decided = piece["is_fraud"].to_numpy() == (scores >= threshold)
    return bool(((scores >= 0) & (scores <= 1) & decided).all())


def _join(pieces: Pieces, target: Path, said: dict[str, str]) -> int:
    """Write the pieces to ``target`` as one file, in one step; the number of flagged rows."""
    part = pieces.folder / "joined"
    write = _write_csv if target.suffix == ".csv" else _write_parquet
    flagged = 0

    def tables() -> Iterator[pyarrow.Table]:
        nonlocal flagged
        for piece in pieces.tables():
            flagged += pyarrow.compute.sum(piece["is_fraud"]).as_py()
            for name, text in said.items():
                piece = piece.append_column(name, pyarrow.repeat(text, len(piece)))  # noqa: PLW2901
            yield piece

    write(tables(), part)
    part.replace(target)
    return flagged


def _write_csv(tables: Iterator[pyarrow.Table], path: Path) -> None:
    for number, piece in enumerate(tables):
        piece.to_pandas().to_csv(path, index=False, header=number == 0, mode="a" if number else "w")


def _write_parquet(tables: Iterator[pyarrow.Table], path: Path) -> None:
    first = next(tables)
    with pyarrow.parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for piece in tables:
            writer.write_table(piece)
