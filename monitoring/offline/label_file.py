"""Files of labels, CSV or Parquet: ``transaction_id`` and ``is_fraud`` (or ``Class``), checked before they are used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fraud.errors import DataError
from fraud.remote.sources import Source
from fraud.rows import ID_COLUMN
from fraud.schema import ID_PATTERN, Schema
from fraud.tables import csv_file, parquet_file, refusals, table
from monitoring.offline import label_words
from monitoring.offline.label_words import COLUMN

SCORE = "fraud_probability"


@dataclass(frozen=True)
class Labels:
    """What files of labels hold, and what was taken for what."""

    labels: list[tuple[str, bool]]
    """One for each transaction, in the order of the rows."""
    blank: int
    """Rows without a label, which were left out."""
    reversed: int
    """Transactions with both labels, of which the later one was taken."""
    taken_as: dict[str, str]
    """Each spelling, and what it was taken for."""
    read_as: list[str]
    """What was found of the form of the files."""


def read_labels(sources: Sequence[Source], schema: Schema | None = None) -> Labels:
    """Labels of all files together. Where a ``schema`` is named, its own names of id and label, and its words for
    fraud, are known too.

    Raises DataError naming the file, the column, the rule and the rows at fault; rows are counted from 0.
    """
    read = [_read(source, schema) for source in sources]
    rows = pd.concat([frame for frame, _ in read], ignore_index=True)
    labelled = rows[~rows["blank"]]
    if labelled.empty:
        raise DataError(f"{sources[0].name}: no row has a label; expected {label_words.RULE} in {COLUMN}")
    spelt = labelled.drop_duplicates("written")
    taken = {
        word: "fraud" if fraud else "legitimate" for word, fraud in zip(spelt["written"], spelt["fraud"], strict=True)
    }
    last, turned = _last(labelled.astype({"fraud": bool}))
    labels = list(zip(last["name"].tolist(), last["fraud"].tolist(), strict=True))
    return Labels(labels, int(rows["blank"].sum()), turned, taken, sorted({form for _, form in read}))


def _read(source: Source, schema: Schema | None) -> tuple[pd.DataFrame, str]:
    """A row for each of the file's: name, written, blank, fraud, when, and where it stands."""
    with source.local() as path:
        frame, form = _table(path)
        frame, spelling = _in_our_names(frame, schema)
        label, date = _columns(path, frame)
        names, written = frame[ID_COLUMN], frame[label].str.strip()
        _refuse(path, ID_COLUMN, refusals.ID_RULE, ~names.map(lambda name: bool(re.fullmatch(ID_PATTERN, name))))
        blank, fraud = label_words.meanings(written) if spelling is None else label_words.spelt(frame[label], spelling)
        unknown = fraud.isna() & ~blank
        got = ", ".join(map(repr, written[unknown].unique()[:3]))
        _refuse(path, label, f"{label_words.RULE} (got {got})", unknown)
    rows = {"name": names, "written": written, "blank": blank, "fraud": fraud}
    when = frame[date] if date else ""
    return pd.DataFrame(rows).assign(when=when, file=source.name, row=range(len(frame))), form


def _in_our_names(frame: pd.DataFrame, schema: Schema | None) -> tuple[pd.DataFrame, Schema | None]:
    """The table with our names of id and label for those of ``schema``; and it, where the label is in its words."""
    if schema is None:
        return frame, None
    names, roles = set(frame.columns), schema.roles
    own = {
        name: ours
        for name, ours in ((roles.id, ID_COLUMN), (roles.label, COLUMN))
        if name in names and ours not in names
    }
    is_own = roles.label in own or roles.label == COLUMN
    return frame.rename(columns=own), schema if is_own and roles.fraud is not None else None


def _columns(path: Path, frame: pd.DataFrame) -> tuple[str, str | None]:
    """Those of labels and of dates. Raises DataError when it is no table of labels."""
    columns = list(frame.columns)
    try:
        if SCORE in columns:
            raise DataError(f"holds {SCORE}: its {COLUMN} is the model's answer, no label; leave that column out")
        found = label_words.which_label(columns), label_words.which_date(columns)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if not len(frame):
        raise refusals.wrong_table([refusals.NO_ROWS], path)
    return found


def _table(path: Path) -> tuple[pd.DataFrame, str]:
    """The columns as text, empty where there is nothing, and the form of the file."""
    table.check_there(path)
    try:
        if table.is_parquet(path):
            frame = parquet_file.read(path).rename(columns=str)
            if frame.columns.has_duplicates:
                raise refusals.wrong_table([refusals.repeated_columns(list(frame.columns))], path)
            return frame.astype("str").fillna(""), "Parquet"
        frame, found = csv_file.read_text(path)
    except OSError as error:
        raise refusals.unreadable(path, error) from None
    return frame, found.words()


def _last(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row for each transaction, and for how many the date had to say which."""
    contradictory = rows.groupby("name")["fraud"].transform("nunique") > 1
    if not contradictory.any():
        return rows.drop_duplicates("name"), 0
    both = rows[contradictory]
    both = both.assign(when=label_words.times(both["when"]))
    latest = both[both["when"] == both.groupby("name")["when"].transform("max")]
    unclear = both["when"].isna() | both["name"].isin(
        latest["name"][latest.groupby("name")["fraud"].transform("nunique") > 1]
    )
    if unclear.any():
        raise _both_labels(both[both["name"] == both["name"][unclear].iloc[0]])
    decided = latest.drop_duplicates("name").set_index("name")["fraud"]
    first = rows.drop_duplicates("name")
    return first.assign(fraud=first["name"].map(decided).fillna(first["fraud"]).astype(bool)), len(decided)


def _both_labels(rows: pd.DataFrame) -> DataError:
    """Nothing says which of two labels holds."""
    places = ", ".join(map(str, rows["row"][: refusals.MAX_ROWS_NAMED]))
    files = " and ".join(rows["file"].unique())
    return DataError(
        f"{files}: {rows['name'].iloc[0]} must be given one label, not both (rows {places}, counted from 0 after the "
        "header); leave one out, or add a column date, such as 2026-01-05: the later label is taken"
    )


def _refuse(path: Path, column: str, rule: str, wrong: "pd.Series[bool]") -> None:
    rows = [int(row) for row in wrong.to_numpy().nonzero()[0]]
    if rows:
        raise refusals.wrong_table([refusals.broken_rule(column, rule, rows, len(rows))], path)
