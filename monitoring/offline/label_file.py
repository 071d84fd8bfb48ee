"""A file of labels, CSV or Parquet: ``transaction_id`` and ``is_fraud`` (or ``Class``), checked before it is used."""

import re
from pathlib import Path

import pandas as pd

from fraud.errors import DataError
from fraud.schema import ID_PATTERN, default
from fraud.tables import refusals, table

COLUMN = "is_fraud"
SCORE = "fraud_probability"
ID_COLUMN, LABEL = "transaction_id", str(default().roles.label)

_MEANINGS = {"1": True, "true": True, "0": False, "false": False, "1.0": True, "0.0": False}


def read_labels(path: Path) -> list[tuple[str, bool]]:
    """Labels of a file, one for each transaction, in the order of the rows.

    Raises DataError naming the column, the rule and the rows at fault; rows are counted from 0 after the header.
    """
    frame = table.read_table(path, default())
    if SCORE in frame:
        raise DataError(f"{path}: holds {SCORE}: its {COLUMN} is the model's answer, no label; leave that column out")
    if COLUMN in frame and LABEL in frame:
        raise DataError(f"{path}: holds {COLUMN} and {LABEL}; leave one of them out")
    label = COLUMN if COLUMN in frame else LABEL
    missing = [name for name in (ID_COLUMN, label) if name not in frame]
    if missing:
        expected = f"expected {ID_COLUMN} and {COLUMN} (or {LABEL})"
        raise refusals.wrong_table([refusals.missing_columns(missing), expected], path)
    if not len(frame):
        raise refusals.wrong_table([refusals.NO_ROWS], path)
    names = frame[ID_COLUMN].astype(str)
    named = frame[ID_COLUMN].notna() & names.map(lambda name: bool(re.fullmatch(ID_PATTERN, str(name))))
    _refuse(path, ID_COLUMN, refusals.ID_RULE, ~named)
    meanings = frame[label].astype(str).str.strip().str.lower().map(_MEANINGS)
    _refuse(path, label, "1 or 0, true or false", meanings.isna())
    labels = pd.DataFrame({"name": names, "is_fraud": meanings.astype(bool)})
    contradictory = labels.groupby("name")["is_fraud"].transform("nunique") > 1
    _refuse(path, ID_COLUMN, "given one label, not both", contradictory)
    unique = labels.drop_duplicates("name")
    return list(zip(unique["name"].tolist(), unique["is_fraud"].tolist(), strict=True))


def _refuse(path: Path, column: str, rule: str, wrong: "pd.Series[bool]") -> None:
    rows = [int(row) for row in wrong.to_numpy().nonzero()[0]]
    if rows:
        raise refusals.wrong_table([refusals.broken_rule(column, rule, rows, len(rows))], path)
