"""Where training data comes from: files, S3, OpenML or the generator become one checked ``Dataset`` in time order."""

import http.client
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pandas as pd

from fraud.argument_types import TABLES
from fraud.errors import DataError, one_line
from fraud.inputs.keys import KeyHasher
from fraud.remote import datasets
from fraud.remote import sources as tables_at
from fraud.schema import Schema, default
from fraud.tables import keys, kinds, refusals, table
from training import sample
from training.console import Steps
from training.dataset import Dataset, combine

OPENML_ID = 1597
EXPECTED = f"{TABLES}, openml, or sample[:ROWS[:SEED]]"

SYNTHETIC = "synthetic"
"""Key of a frame's ``attrs`` that marks generated rows; it goes into Parquet files and comes back from them."""

_YEAR_SECONDS = 365.25 * 86_400
_ERA_SECONDS = 10 * _YEAR_SECONDS

_SHOWN = 5

_SAMPLE = re.compile(r"sample(?::(\d+)(?::(\d+))?)?")


def load(sources: Sequence[str], schema: Schema, hasher: KeyHasher | None = None) -> Dataset:
    """Read, check and combine ``sources``: files, folders and patterns here or in S3, ``openml`` or ``sample``.

    ``hasher``: what keys are hashed with; without it they stay as they are. A pushed file must still have the SHA-256
    it was pushed with; of another schema it is left out of a folder, and noted. Raises DataError when a source is
    unknown, its rows break the schema or its keys were hashed with another secret; RegistryError when S3 fails or a
    pushed file was changed.
    """
    if not sources:
        raise DataError(f"no data given; expected {EXPECTED}")
    if schema.history and hasher is None:
        raise DataError.no_secret(schema.name)
    notes: list[str] = []
    read = [(name, frame) for source in sources for name, frame in _frames(source, schema, notes, hasher)]
    if not read:
        raise DataError(f"no data of the schema {schema.name}: {'; '.join(notes)}")
    frames = [(name, _checked(frame, schema, name, hasher)) for name, frame in read]
    notes += [f"{name}: read as {frame.attrs[table.LAYOUT]}" for name, frame in read if table.LAYOUT in frame.attrs]
    notes += _labels([frame for _, frame in read], schema)
    notes += _eras(frames, schema)
    synthetic = any(frame.attrs.get(SYNTHETIC) for _, frame in read)
    return combine([frame for _, frame in frames], sources, schema, synthetic=synthetic, notes=tuple(notes))


def load_telling(sources: Sequence[str], schema: Schema, steps: Steps, hasher: KeyHasher | None = None) -> Dataset:
    """``load``, telling what is loaded and what came of it."""
    steps.start("load", f"Loading {', '.join(sources)}")
    dataset = load(sources, schema, hasher)
    steps.done(f"{dataset.size} rows, {dataset.frauds} frauds, {dataset.duplicates_dropped} duplicates dropped")
    for note in dataset.notes:
        steps.say(f"  {note}")
    return dataset


def tell_roles(schema: Schema, hasher: KeyHasher | None, steps: Steps) -> None:
    """What is not there because the schema does not name it, and what is not kept, once."""
    if (keys := schema.of_kind("key")) and hasher is None:
        steps.say(f"  keys are not kept ({', '.join(keys)}): FRAUD_KEY_SECRET is not set")
    if schema.roles.time is None:
        steps.say("  the schema names no time: rows are held out at random, and there is no hour")
    if schema.roles.amount is None:
        steps.say("  the schema names no amount: there are no figures of money")


def _labels(frames: Sequence[pd.DataFrame], schema: Schema) -> Iterator[str]:
    """Which values of the label were taken for no fraud, where the schema says which mean fraud."""
    name, fraud = schema.roles.label, schema.roles.fraud
    if name is None or fraud is None:
        return
    values = {text for frame in frames for text in kinds.as_codes(frame[name].drop_duplicates())}
    others = sorted(str(text) for text in values - set(fraud))
    shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
    yield f"{name}: {', '.join(fraud)} is fraud, {shown or 'nothing else'} is not"


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


def _frames(
    source: str, schema: Schema, notes: list[str], hasher: KeyHasher | None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The frames of one source, each with the name to use in messages; ``notes`` gets what there is to say."""
    if not source.strip():
        raise refusals.no_source("an empty name", EXPECTED)
    if generated := _SAMPLE.fullmatch(source):
        _need_default(source, schema)
        rows, seed = generated.groups()
        frame = sample.generate(int(rows or sample.ROWS), int(seed or 0))
        frame.attrs[SYNTHETIC] = True
        yield source, frame
    elif source == "openml":
        _need_default(source, schema)
        yield source, _openml()
    elif ("://" in source and not source.startswith("s3://")) or source.startswith("sample:"):
        raise refusals.no_source(repr(source), EXPECTED)
    else:
        for found in tables_at.find([source]):
            if _is_of(schema, found, source, notes, hasher):
                with found.local() as path:
                    yield found.name, table.read_table(path, schema)


def _need_default(source: str, schema: Schema) -> None:
    if schema.hash != default().hash:
        raise DataError(f"{source}: has the columns of the schema {default().name}, not of {schema.name}; give a file")


def _is_of(schema: Schema, found: tables_at.Source, asked: str, notes: list[str], hasher: KeyHasher | None) -> bool:
    """Whether a table may be of the schema; what was pushed with another one is left out, or refused."""
    facts = datasets.pushed(found.name) if found.is_remote else None
    if not facts or facts.schema_hash in (None, schema.hash):
        if facts and facts.key_fingerprint and hasher and facts.key_fingerprint != hasher.fingerprint:
            raise keys.other_secret(found.name, facts.key_fingerprint, hasher)
        return True
    problem = f"{found.name}: was pushed with another transaction schema than {schema.name}"
    if found.name == asked:
        raise DataError(problem)
    notes.append(f"{problem}, and left out")
    return False


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


def _checked(frame: pd.DataFrame, schema: Schema, name: str, hasher: KeyHasher | None) -> pd.DataFrame:
    try:
        checked = table.check(frame, schema, labelled=True)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if absent := keys.absent(checked, schema):
        raise DataError(f"{name}: {keys.no_history_of(absent, schema)}")
    return keys.hashed(checked, schema, hasher) if hasher else checked
