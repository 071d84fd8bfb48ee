"""From the log to training data: labelled transactions become an increment below ``dataset/new/``, each row once."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, Select, or_, select, update

from fraud.atomic import replacing
from fraud.errors import DataError
from fraud.inputs.keys import KeyHasher
from fraud.remote import datasets
from fraud.rows import unpack
from fraud.schema import Schema, of_document
from fraud.tables import kinds
from monitoring.quality import Period, newest
from monitoring.storage.sent import HASH_LENGTH, RowKind
from monitoring.storage.tables import DECISIONS, DECISIONS_WITH_LABELS, LABELS, ORIGINS, SCHEMAS

_MARKED_AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Increment:
    """Rows of training data out of the log, of one schema."""

    schema: Schema
    frame: pd.DataFrame
    """What was sent, and the label, in order of time where there is a time."""
    ids: list[int]
    """Numbers of the predictions they come from."""
    frauds: int
    labelled: int
    """How many have a label of their own; the others are older than the label delay."""
    other_schema: int
    """How many were left out because they were logged under another transaction schema."""
    without_features: int
    """How many were left out because what was sent was not logged."""
    gathered_at: float

    def as_dict(self) -> dict[str, Any]:
        """Counts for JSON."""
        left_out = {"other_schema": self.other_schema, "without_features": self.without_features}
        schema = {"name": self.schema.name, "hash": self.schema.hash[:HASH_LENGTH]}
        return {
            "schema": schema,
            "rows": len(self.frame),
            "frauds": self.frauds,
            "labelled": self.labelled,
            "left_out": left_out,
        }


def gather(
    engine: Engine, period: Period, *, unlabelled_too: bool, again: bool, schema: str | None = None
) -> Increment:
    """Rows scored in ``period`` that are new, or got a label since; all of them when ``again``.

    Those of one schema, by its name or hash; of the one used last when ``schema`` is None. Raises DataError when there
    are none, or none with a label of its own: nothing is known then.
    """
    now = time.time()
    own = _chosen(engine, schema)
    with engine.connect() as connection:
        rows = connection.execute(_rows(period, unlabelled_too=unlabelled_too, again=again)).all()
    others = sum(row.schema_hash != own for row in rows)
    bare = sum(row.sent is None and row.schema_hash == own for row in rows)
    usable = [row for row in rows if row.sent is not None and row.schema_hash == own]
    labelled = sum(row.labelled is not None for row in usable)
    if not labelled:
        raise DataError(
            f"no labelled transaction to export ({len(rows)} are old enough and new, {bare} of them without inputs"
            f"{f', {others} of another schema' if others else ''}); "
            "import labels, wait for FRAUD_LABEL_DELAY_DAYS, or see --again"
        )
    declared = _schema(engine, own)
    frame = _frame(usable, declared)
    frauds = sum(bool(row.labelled) for row in usable)
    return Increment(declared, frame, [row.id for row in usable], frauds, labelled, others, bare, now)


def _chosen(engine: Engine, schema: str | None) -> str:
    """The hash of a schema that is named so, or whose hash begins so; of that of the last prediction without either."""
    with engine.connect() as connection:
        if schema is None:
            last = select(ORIGINS.c.schema_hash).join(DECISIONS, DECISIONS.c.origin_id == ORIGINS.c.id)
            last = last.order_by(DECISIONS.c.scored_at.desc()).limit(1)
            return str(connection.scalar(last))
        known = connection.execute(select(SCHEMAS.c.hash, SCHEMAS.c.name).order_by(SCHEMAS.c.first_used_at)).all()
    found = [one.hash for one in known if schema == one.name or one.hash.startswith(schema)]
    if len(found) == 1:
        return str(found[0])
    there = ", ".join(f"{one.name} ({one.hash})" for one in known) or "none"
    raise DataError(f"{'two schemas are' if found else 'no schema is'} called {schema!r}; the log has {there}")


def _schema(engine: Engine, own: str) -> Schema:
    with engine.connect() as connection:
        document = connection.scalar(select(SCHEMAS.c.document).where(SCHEMAS.c.hash == own))
    if document is None:
        raise DataError(f"the log has rows of the schema {own}, and fraud_schemas does not have that")
    found = of_document(json.loads(document), f"the schema {own} of the log")
    if not found.hash.startswith(own):
        raise DataError(f"fraud_schemas has another schema as {own} than that of its rows")
    return found


def _frame(rows: Sequence[Any], schema: Schema) -> pd.DataFrame:
    """A table that the loader reads as what was sent: missing values, and texts no model knew, are as they came."""
    packed, texts = zip(*map(RowKind(schema).read, [row.sent for row in rows]), strict=True)
    numbers, names = unpack(packed), schema.of_kind("category", "key")
    columns: dict[str, Any] = {
        name: kinds.written(numbers[:, place], schema.columns[name]) for place, name in enumerate(schema.inputs)
    }
    columns |= {name: np.array([one[place] for one in texts], dtype=object) for place, name in enumerate(names)}
    if schema.roles.id:
        columns[schema.roles.id] = [row.transaction_id for row in rows]
    columns[str(schema.roles.label)] = kinds.written_labels(
        np.array([bool(row.labelled) for row in rows]), schema.roles.fraud
    )
    kept = [name for name in schema.of_kind("key") if not any(columns[name])]  # keys that nobody hashed
    frame = pd.DataFrame(columns).drop(columns=kept)
    if schema.roles.time is None:
        return frame
    order = np.argsort(numbers[:, schema.inputs.index(schema.roles.time)], kind="stable")
    return frame.iloc[order].reset_index(drop=True)


def _rows(period: Period, *, unlabelled_too: bool, again: bool) -> Select[Any]:
    new = or_(DECISIONS.c.exported_at.is_(None), LABELS.c.labelled_at > DECISIONS.c.exported_at)
    return (
        select(
            DECISIONS.c.id,
            DECISIONS.c.transaction_id,
            DECISIONS.c.sent,
            ORIGINS.c.schema_hash,
            LABELS.c.is_fraud.label("labelled"),
        )
        .select_from(DECISIONS_WITH_LABELS)
        .where(
            newest(period),
            *([] if again else [new]),
            *([] if unlabelled_too else [LABELS.c.is_fraud.is_not(None)]),
        )
        .order_by(DECISIONS.c.id)
    )


def write(increment: Increment, target: Path) -> None:
    """Write Parquet, whole or not at all, and never over what is there: its rows would be lost. Raises DataError."""
    if target.exists():
        raise DataError.there_already(target, "choose another name")
    if target.suffix != ".parquet":
        raise DataError.wrong_suffix(target, ".parquet")
    try:
        with replacing(target) as part:
            increment.frame.to_parquet(part, index=False)
    except OSError as error:
        raise DataError.not_writable(target, error) from None


def push(increment: Increment, uri: str, hasher: KeyHasher | None = None) -> dict[str, Any]:
    """Upload it below ``dataset/new/`` with its checksum. Raises RegistryError when S3 fails."""
    stamp = datetime.fromtimestamp(increment.gathered_at, UTC).strftime("%Y%m%dT%H%M%S")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels-{stamp}.parquet"
        write(increment, path)
        return datasets.push(uri, path, increment.schema, datasets.NEW + path.name, hasher)


def mark(engine: Engine, increment: Increment) -> None:
    """Remember that these rows were exported; called when the increment is safe."""
    with engine.begin() as connection:
        for start in range(0, len(increment.ids), _MARKED_AT_ONCE):
            part = DECISIONS.c.id.in_(increment.ids[start : start + _MARKED_AT_ONCE])
            connection.execute(update(DECISIONS).where(part).values(exported_at=increment.gathered_at))
