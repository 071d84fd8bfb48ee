"""Where training data comes from: files, S3, OpenML or the generator become one checked ``Dataset`` in time order."""

import http.client
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from fraud.errors import DataError, one_line
from fraud.remote import datasets, s3
from fraud.schema import Schema, default
from fraud.tables import refusals, table
from training import sample
from training.console import Steps
from training.dataset import Dataset, combine

OPENML_ID = 1597
EXPECTED = "a CSV or Parquet path, s3://bucket/key, openml, or sample[:ROWS[:SEED]]"
SUFFIXES = table.PARQUET_SUFFIXES + table.CSV_SUFFIXES

SYNTHETIC = "synthetic"
"""Key of a frame's ``attrs`` that marks generated rows; it goes into Parquet files and comes back from them."""

_YEAR_SECONDS = 365.25 * 86_400
_ERA_SECONDS = 10 * _YEAR_SECONDS

_SAMPLE = re.compile(r"sample(?::(\d+)(?::(\d+))?)?")


def load(sources: Sequence[str], schema: Schema) -> Dataset:
    """Read, check and combine ``sources``; each is a path, an S3 address, ``openml`` or ``sample``.

    An S3 address that ends in ``/`` stands for all data files below it: those with the suffix of a table, and those
    that were pushed. A pushed file must still have the SHA-256 it was pushed with; of another schema it is left out of
    a folder, and noted. Raises DataError when a source is unknown or its rows break the schema, RegistryError when S3
    fails or a pushed file was changed.
    """
    if not sources:
        raise DataError(f"no data given; expected {EXPECTED}")
    notes: list[str] = []
    read = [(name, frame) for source in sources for name, frame in _frames(source, schema, notes)]
    frames = [(name, _checked(frame, schema, name)) for name, frame in read]
    notes += [f"{name}: read as {frame.attrs[table.LAYOUT]}" for name, frame in read if table.LAYOUT in frame.attrs]
    notes += _eras(frames, schema)
    synthetic = any(frame.attrs.get(SYNTHETIC) for _, frame in read)
    return combine([frame for _, frame in frames], sources, schema, synthetic=synthetic, notes=tuple(notes))


def load_telling(sources: Sequence[str], schema: Schema, steps: Steps) -> Dataset:
    """``load``, telling what is loaded and what came of it."""
    steps.start("load", f"Loading {', '.join(sources)}")
    dataset = load(sources, schema)
    steps.done(f"{dataset.size} rows, {dataset.frauds} frauds, {dataset.duplicates_dropped} duplicates dropped")
    for note in dataset.notes:
        steps.say(f"  {note}")
    return dataset


def _eras(frames: Sequence[tuple[str, pd.DataFrame]], schema: Schema) -> Iterator[str]:
    """Sources whose times do not follow one another: seconds since a file's first row mean another hour each time."""
    time = schema.roles.time
    if time is None:
        return
    spans = [(float(frame[time].min()), float(frame[time].max()), name) for name, frame in frames]
    for (_, end, one), (start, _, other) in pairwise(sorted(spans)):
        if start < end:
            yield f"{one} and {other} overlap in {time}: their rows are set between one another"
        elif start - end > _ERA_SECONDS:
            yield f"{other} begins {(start - end) / _YEAR_SECONDS:.0f} years after {one} ends: is {time} of one clock?"


def _frames(source: str, schema: Schema, notes: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The frames of one source, each with the name to use in messages; ``notes`` gets what there is to say."""
    if not source.strip():
        raise _no_source("an empty name")
    if generated := _SAMPLE.fullmatch(source):
        _need_default(source, schema)
        rows, seed = generated.groups()
        frame = sample.generate(int(rows or sample.ROWS), int(seed or 0))
        frame.attrs[SYNTHETIC] = True
        yield source, frame
    elif source == "openml":
        _need_default(source, schema)
        yield source, _openml()
    elif source.startswith("s3://"):
        yield from _objects(source, schema, notes)
    elif "://" in source or source.startswith("sample:"):
        raise _no_source(repr(source))
    else:
        yield source, table.read_table(Path(source), schema)


def _no_source(name: str) -> DataError:
    return DataError(f"{name} is no data source; expected {EXPECTED}")


def _need_default(source: str, schema: Schema) -> None:
    if schema.hash != default().hash:
        raise DataError(f"{source}: has the columns of the schema {default().name}, not of {schema.name}; give a file")


def _objects(uri: str, schema: Schema, notes: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    for key in below(uri) if uri.endswith("/") else [uri]:
        if not s3.split(key)[1]:
            raise DataError(f"{uri}: expected s3://bucket/key, or a folder that ends in /")
        facts = datasets.pushed(key)
        if facts and facts.schema_hash not in (None, schema.hash):
            problem = f"{key}: was pushed with another transaction schema than {schema.name}"
            if key == uri:
                raise DataError(problem)
            notes.append(f"{problem}, and left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / key.rsplit("/", 1)[1]
            s3.download(key, target, sha256=facts.sha256 if facts else None)
            try:
                frame = table.read_table(target, schema)
            except DataError as error:
                raise DataError(str(error).replace(str(target), key)) from None
        yield key, frame


def below(uri: str) -> list[str]:
    """Addresses of the data files below an S3 address; a README beside them is none.

    Raises DataError when there are none, RegistryError when S3 fails.
    """
    keys = s3.keys(uri)
    pushed = {key.removesuffix(datasets.SUM) for key in keys if key.endswith(datasets.SUM)}
    files = [key for key in keys if key in pushed or key.lower().endswith(SUFFIXES)]
    if not files:
        raise refusals.nothing_at(uri)
    return files


def _openml() -> pd.DataFrame:
    """The ULB data from OpenML, kept in scikit-learn's own cache.

    The time is asked for as the target, because a column that OpenML marks as one to ignore is left out otherwise.
    """
    from sklearn.datasets import fetch_openml

    roles = default().roles

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # retries, and the mark on the time
            fetched = fetch_openml(data_id=OPENML_ID, target_column=roles.time, as_frame=True, parser="auto")
    except (OSError, ValueError, EOFError, http.client.HTTPException) as error:  # OpenML's own is a ValueError
        raise DataError(f"openml: data set {OPENML_ID} cannot be fetched: {one_line(error)}; give a file") from None
    frame: pd.DataFrame = fetched.frame
    return frame.assign(**{str(roles.label): frame[roles.label].astype(str).str.strip("'\"")})


def _checked(frame: pd.DataFrame, schema: Schema, name: str) -> pd.DataFrame:
    try:
        return table.check(frame, schema, labelled=True)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
