"""From the log to training data: labelled transactions become an increment below ``dataset/new/``, each row once."""

import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, Select, or_, select, update

from fraud.atomic import replacing
from fraud.errors import DataError
from fraud.remote import datasets
from fraud.schema import default
from monitoring.database import LABELS_TABLE, PREDICTIONS_TABLE, PREDICTIONS_WITH_LABELS, SCHEMA_HASH
from monitoring.quality import Period, newest

_MARKED_AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Increment:
    """Rows of training data out of the log."""

    frame: pd.DataFrame
    """The inputs and the label, in order of time."""
    ids: list[int]
    """Numbers of the predictions they come from."""
    labelled: int
    """How many have a label of their own; the others are older than the label delay."""
    other_schema: int
    """How many were left out because they were logged under another transaction schema."""
    without_features: int
    """How many were left out because their inputs were not logged."""
    gathered_at: float

    def as_dict(self) -> dict[str, Any]:
        """Counts for JSON."""
        left_out = {"other_schema": self.other_schema, "without_features": self.without_features}
        frauds = int(self.frame[default().roles.label].sum())
        return {"rows": len(self.frame), "frauds": frauds, "labelled": self.labelled, "left_out": left_out}


def gather(engine: Engine, period: Period, *, unlabelled_too: bool, again: bool) -> Increment:
    """Rows scored in ``period`` that are new, or got a label since; all of them when ``again``.

    Raises DataError when there are none, or none with a label of its own: nothing is known then.
    """
    now = time.time()
    with engine.connect() as connection:
        rows = connection.execute(_rows(period, unlabelled_too=unlabelled_too, again=again)).all()
    usable = [row for row in rows if row.row is not None and row.schema_hash == SCHEMA_HASH]
    labelled = sum(row.labelled is not None for row in usable)
    bare = sum(row.row is None for row in rows)
    if not labelled:
        raise DataError(
            f"no labelled transaction to export ({len(rows)} are old enough and new, {bare} of them without inputs); "
            "import labels, wait for FRAUD_LABEL_DELAY_DAYS, or see --again"
        )
    values = np.frombuffer(b"".join(row.row for row in usable), dtype="<f8").reshape(-1, len(default().inputs))
    frame = pd.DataFrame(values, columns=list(default().inputs))
    frame[default().roles.label] = np.array([bool(row.labelled) for row in usable], dtype=np.int8)
    ids = [row.id for row in usable]
    frame = frame.sort_values(str(default().roles.time), kind="stable", ignore_index=True)
    return Increment(frame, ids, labelled, len(rows) - len(usable) - bare, bare, now)


def _rows(period: Period, *, unlabelled_too: bool, again: bool) -> Select[Any]:
    new = or_(PREDICTIONS_TABLE.c.exported_at.is_(None), LABELS_TABLE.c.labelled_at > PREDICTIONS_TABLE.c.exported_at)
    return (
        select(
            PREDICTIONS_TABLE.c.id,
            PREDICTIONS_TABLE.c.row,
            PREDICTIONS_TABLE.c.schema_hash,
            LABELS_TABLE.c.is_fraud.label("labelled"),
        )
        .select_from(PREDICTIONS_WITH_LABELS)
        .where(
            newest(period),
            *([] if again else [new]),
            *([] if unlabelled_too else [LABELS_TABLE.c.is_fraud.is_not(None)]),
        )
        .order_by(PREDICTIONS_TABLE.c.id)
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


def push(increment: Increment, uri: str) -> dict[str, Any]:
    """Upload it below ``dataset/new/`` with its checksum. Raises RegistryError when S3 fails."""
    stamp = datetime.fromtimestamp(increment.gathered_at, UTC).strftime("%Y%m%dT%H%M%S")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels-{stamp}.parquet"
        write(increment, path)
        return datasets.push(uri, path, default(), datasets.NEW + path.name)


def mark(engine: Engine, increment: Increment) -> None:
    """Remember that these rows were exported; called when the increment is safe."""
    with engine.begin() as connection:
        for start in range(0, len(increment.ids), _MARKED_AT_ONCE):
            part = PREDICTIONS_TABLE.c.id.in_(increment.ids[start : start + _MARKED_AT_ONCE])
            connection.execute(update(PREDICTIONS_TABLE).where(part).values(exported_at=increment.gathered_at))
