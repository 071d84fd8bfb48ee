"""Where training data comes from: files, S3, OpenML or the generator become one checked ``Dataset`` in time order."""

import hashlib
import http.client
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud.argument_types import TABLES
from fraud.errors import DataError, one_line
from fraud.remote import sources as tables_at
from fraud.schema import COLUMNS, LABEL
from fraud.tables import table
from training import sample
from training.console import Steps

OPENML_ID = 1597
EXPECTED = f"{TABLES}, openml, or sample[:ROWS[:SEED]]"
below = tables_at.below

SYNTHETIC = "synthetic"
"""Key of a frame's ``attrs`` that marks generated rows; it goes into Parquet files and comes back from them."""

_SAMPLE = re.compile(r"sample(?::(\d+)(?::(\d+))?)?")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled transactions in time order without exact duplicates; the arrays are read-only."""

    rows: NDArray[np.float64]
    """``(n, 30)`` in the order of ``fraud.schema.COLUMNS``."""
    labels: NDArray[np.int8]
    """``(n,)``, 1 for fraud."""
    sources: tuple[str, ...]
    duplicates_dropped: int
    synthetic: bool
    """Whether any of the rows comes from the generator."""
    fingerprint: str
    """SHA-256 over rows and labels, in order: the same data always has the same one."""

    @property
    def size(self) -> int:
        """Number of transactions."""
        return len(self.labels)

    @property
    def frauds(self) -> int:
        """Number of transactions labelled fraud."""
        return int(self.labels.sum())


def load(sources: Sequence[str]) -> Dataset:
    """Read, check and combine ``sources``: files, folders and patterns here or in S3, ``openml`` or ``sample``.

    A pushed file must still have the SHA-256 it was pushed with. Raises DataError when a source is unknown or its rows
    break the schema, RegistryError when S3 fails or a pushed file was changed.
    """
    if not sources:
        raise DataError(f"no data given; expected {EXPECTED}")
    frames = [_checked(frame, name) for source in sources for name, frame in _frames(source)]
    return combine(frames, sources, synthetic=any(frame.attrs.get(SYNTHETIC) for frame in frames))


def load_telling(sources: Sequence[str], steps: Steps) -> Dataset:
    """``load``, telling what is loaded and what came of it."""
    steps.start("load", f"Loading {', '.join(sources)}")
    dataset = load(sources)
    steps.done(f"{dataset.size} rows, {dataset.frauds} frauds, {dataset.duplicates_dropped} duplicates dropped")
    return dataset


def combine(frames: Sequence[pd.DataFrame], sources: Sequence[str], *, synthetic: bool) -> Dataset:
    """Concatenate checked, labelled frames in time order and drop exact duplicates (label included).

    Rows of equal ``Time`` keep the order in which they were given. Raises DataError unless both classes occur.
    """
    together = pd.concat([frame[[*COLUMNS, LABEL]] for frame in frames], ignore_index=True)
    unique = together.sort_values("Time", kind="stable").drop_duplicates()
    rows = np.ascontiguousarray(unique[list(COLUMNS)].to_numpy(np.float64))
    labels = unique[LABEL].to_numpy(np.int8, copy=True)
    dropped = len(together) - len(unique)
    return _dataset(rows, labels, tuple(sources), dropped, synthetic=synthetic)


def select(dataset: Dataset, kept: NDArray[np.bool_]) -> Dataset:
    """The rows of a data set that are ``kept``. Raises DataError unless both classes occur among them."""
    if not kept.any():
        raise DataError.too_little(f"no row of {', '.join(dataset.sources)} is left")
    rows, labels = dataset.rows[kept], dataset.labels[kept]
    return _dataset(rows, labels, dataset.sources, dataset.duplicates_dropped, synthetic=dataset.synthetic)


def _dataset(
    rows: NDArray[np.float64], labels: NDArray[np.int8], sources: tuple[str, ...], dropped: int, *, synthetic: bool
) -> Dataset:
    for value, name in ((1, "fraud"), (0, "legitimate")):
        if value not in labels:
            raise DataError(f"no row is labelled {name} ({LABEL} = {value}) in {', '.join(sources)}: need both")
    rows.flags.writeable = labels.flags.writeable = False
    return Dataset(rows, labels, sources, dropped, synthetic, _fingerprint(rows, labels))


def row_hashes(rows: NDArray[np.float64], seed: int = 0, purpose: str = "") -> NDArray[np.uint64]:
    """A 64-bit hash of each row's content, the same on every machine: BLAKE2b of the little-endian float64s.

    ``rows`` is ``(n, k)``; -0.0 counts as 0.0. Another ``seed`` (below 2**64) or ``purpose`` (up to 16 ASCII
    characters) gives unrelated hashes.
    """
    width = rows.shape[1] * 8
    content = memoryview((rows + 0.0).astype("<f8").tobytes())
    start = hashlib.blake2b(digest_size=8, salt=seed.to_bytes(8, "little"), person=purpose.encode("ascii"))
    digests = bytearray()
    for offset in range(0, len(content), width):
        row = start.copy()
        row.update(content[offset : offset + width])
        digests += row.digest()
    return np.frombuffer(bytes(digests), dtype="<u8").astype(np.uint64)


def _frames(source: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The frames of one source, each with the name to use in messages."""
    if not source.strip():
        raise _no_source("an empty name")
    if generated := _SAMPLE.fullmatch(source):
        rows, seed = generated.groups()
        frame = sample.generate(int(rows or sample.ROWS), int(seed or 0))
        frame.attrs[SYNTHETIC] = True
        yield source, frame
    elif source == "openml":
        yield source, _openml()
    elif ("://" in source and not source.startswith("s3://")) or source.startswith("sample:"):
        raise _no_source(repr(source))
    else:
        for found in tables_at.find([source]):
            with found.local() as path:
                yield found.name, table.read_table(path)


def _no_source(name: str) -> DataError:
    return DataError(f"{name} is no data source; expected {EXPECTED}")


def _openml() -> pd.DataFrame:
    """The ULB data from OpenML, kept in scikit-learn's own cache.

    ``Time`` is asked for as the target, because a column that OpenML marks as one to ignore is left out otherwise.
    """
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # retries, and the mark on Time
            fetched = fetch_openml(data_id=OPENML_ID, target_column="Time", as_frame=True, parser="auto")
    except (OSError, ValueError, EOFError, http.client.HTTPException) as error:  # OpenML's own is a ValueError
        raise DataError(f"openml: data set {OPENML_ID} cannot be fetched: {one_line(error)}; give a file") from None
    frame: pd.DataFrame = fetched.frame
    return frame.assign(**{LABEL: frame[LABEL].astype(str).str.strip("'\"")})


def _checked(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    try:
        checked = table.check(frame, labelled=True)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    checked.attrs = frame.attrs
    return checked


def _fingerprint(rows: NDArray[np.float64], labels: NDArray[np.int8]) -> str:
    digest = hashlib.sha256(rows.astype("<f8", copy=False).tobytes())
    digest.update(labels.tobytes())
    return digest.hexdigest()
