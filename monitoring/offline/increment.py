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
from sqlalchemy import Engine, Select, false, func, or_, select, update

from fraud.atomic import replacing
from fraud.errors import DataError
from fraud.inputs.keys import KeyHasher
from fraud.remote import datasets
from fraud.rows import unpack
from fraud.schema import Schema, of_document
from fraud.tables import kinds
from monitoring.storage.judged import Period, newest
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
    left_out: dict[str, int]
    """How many were: of another schema, without what was sent, with keys that another secret hashed."""
    gathered_at: float

    def as_dict(self) -> dict[str, Any]:
        """Counts for JSON."""
        schema = {"name": self.schema.name, "hash": self.schema.hash[:HASH_LENGTH]}
        return {
            "schema": schema,
            "rows": len(self.frame),
            "frauds": self.frauds,
            "labelled": self.labelled,
            "left_out": self.left_out,
        }


def gather(engine: Engine, chosen: "Chosen", *, schema: str | None = None, secret: str | None = None) -> Increment:
    """The rows that are ``chosen``: of one schema, by its name or hash; of the one used last when it is None.

    Keys that were hashed with a secret other than that whose fingerprint is ``secret`` would be other cards: such rows
    are left out. Raises DataError when there are none, or none with a label of its own: nothing is known then.
    """
    now, own = time.time(), _of_schema(engine, schema)
    with engine.connect() as connection:
        counts = [(*row[:-1], int(row[-1])) for row in connection.execute(_counts(chosen))]
        rows = connection.execute(_rows(chosen, own, secret)).all()
    left_out = {
        "other_schema": sum(count for name, _, _, count in counts if name != own),
        "without_features": sum(count for name, _, is_bare, count in counts if name == own and is_bare),
    }
    secrets = {hashed for name, hashed, is_bare, _ in counts if name == own and not is_bare} - {None, secret}
    left_out["other_secret"] = sum(
        n for name, hashed, is_bare, n in counts if name == own and hashed in secrets and not is_bare
    )
    labelled = sum(row.labelled is not None for row in rows)
    if not labelled:
        why = (
            ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in left_out.items() if count)
            or "none left out"
        )
        hint = (
            f"; those of another secret were hashed with the FRAUD_KEY_SECRET of {', '.join(sorted(secrets))}"
            if secrets
            else ""
        )
        raise DataError(
            f"no labelled transaction to export ({sum(count for *_, count in counts)} are old enough and new; {why}); "
            f"import labels, wait for FRAUD_LABEL_DELAY_DAYS, or see --again{hint}"
        )
    declared = _schema(engine, own)
    frauds = sum(bool(row.labelled) for row in rows)
    return Increment(declared, _frame(rows, declared), [row.id for row in rows], frauds, labelled, left_out, now)


def _of_schema(engine: Engine, schema: str | None) -> str:
    """The hash of a schema that is named so, or whose hash begins so; of that of the last prediction without either."""
    with engine.connect() as connection:
        if schema is None:
            last = select(ORIGINS.c.schema_hash).join(DECISIONS, DECISIONS.c.origin_id == ORIGINS.c.id)
            return connection.scalar(last.order_by(DECISIONS.c.scored_at.desc()).limit(1)) or ""
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
    kind = RowKind(schema)
    packed, _, texts = zip(*[kind.read(row.sent, row.features) for row in rows], strict=True)
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
    unhashed = [name for name in schema.of_kind("key") if not any(columns[name])]  # nobody kept them
    frame = pd.DataFrame(columns).drop(columns=unhashed)
    if schema.roles.time is None:
        return frame
    order = np.argsort(numbers[:, schema.inputs.index(schema.roles.time)], kind="stable")
    return frame.iloc[order].reset_index(drop=True)


@dataclass(frozen=True)
class Chosen:
    """Which predictions are old enough, and new."""

    period: Period
    unlabelled_too: bool
    again: bool

    @property
    def conditions(self) -> list[Any]:
        """Of SQL."""
        new = or_(DECISIONS.c.exported_at.is_(None), LABELS.c.labelled_at > DECISIONS.c.exported_at)
        found = [newest(self.period), *([] if self.again else [new])]
        return [*found, *([] if self.unlabelled_too else [LABELS.c.is_fraud.is_not(None)])]


def _counts(chosen: Chosen) -> Select[Any]:
    kinds = (ORIGINS.c.schema_hash, ORIGINS.c.key_fingerprint, DECISIONS.c.sent.is_(None))
    return select(*kinds, func.count()).select_from(DECISIONS_WITH_LABELS).where(*chosen.conditions).group_by(*kinds)


def _rows(chosen: Chosen, schema: str, secret: str | None) -> Select[Any]:
    hashed = ORIGINS.c.key_fingerprint
    return (
        select(
            DECISIONS.c.id,
            DECISIONS.c.transaction_id,
            DECISIONS.c.sent,
            DECISIONS.c.features,
            LABELS.c.is_fraud.label("labelled"),
        )
        .select_from(DECISIONS_WITH_LABELS)
        .where(
            *chosen.conditions,
            ORIGINS.c.schema_hash == schema,
            DECISIONS.c.sent.is_not(None),
            or_(hashed.is_(None), hashed == secret),
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


def check_may_mark(engine: Engine) -> None:
    """Raise what the database says where rows cannot be marked: what was written then would be written again."""
    with engine.begin() as connection:
        connection.execute(update(DECISIONS).where(false()).values(exported_at=0.0))


def mark(engine: Engine, increment: Increment) -> None:
    """Remember that these rows were exported; called when the increment is safe."""
    with engine.begin() as connection:
        for start in range(0, len(increment.ids), _MARKED_AT_ONCE):
            part = DECISIONS.c.id.in_(increment.ids[start : start + _MARKED_AT_ONCE])
            connection.execute(update(DECISIONS).where(part).values(exported_at=increment.gathered_at))
