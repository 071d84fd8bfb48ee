"""How people write labels: what a cell means, which heading was meant, when a label was given."""

import re
from collections.abc import Sequence

import pandas as pd

from fraud.errors import DataError
from fraud.rows import ID_COLUMN
from fraud.schema import Schema, default
from fraud.tables import kinds

COLUMN = "is_fraud"

RULE = "1 or 0, true or false, yes or no, fraud or legitimate"
_FRAUD = ("1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent", "confirmed fraud", "chargeback")
_LEGITIMATE = (
    "0",
    "0.0",
    "false",
    "f",
    "no",
    "n",
    "legit",
    "legitimate",
    "genuine",
    "not fraud",
    "non fraud",
    "no fraud",
)
_MEANINGS = dict.fromkeys(_FRAUD, True) | dict.fromkeys(_LEGITIMATE, False)
_BLANKS = frozenset({"", "na", "n/a", "nan", "null", "<na>"})
_HEADINGS = {
    ID_COLUMN: frozenset(
        {"transactionid", "transaction", "transactionnumber", "txid", "txnid", "trxid", "id", "reference"}
    ),
    COLUMN: frozenset({"isfraud", "fraud", "fraudulent", "isfraudulent", "fraudflag", "label", "class", "chargeback"}),
}
_DATES = re.compile(r"(.*[ _])?(date|time|timestamp|datum|at)|.*(date|timestamp)", re.IGNORECASE)


def meanings(cells: "pd.Series[str]") -> tuple["pd.Series[bool]", pd.Series]:
    """Which cells are blank, and what each means: True fraud, False legitimate, missing where nobody knows."""
    words = cells.str.strip().str.lower().str.replace(r"[_\s-]+", " ", regex=True)
    return words.isin(_BLANKS), words.map(_MEANINGS)


def spelt(cells: "pd.Series[str]", schema: Schema) -> tuple["pd.Series[bool]", pd.Series]:
    """``meanings`` where a schema says which words mean fraud, as training reads them: any other is legitimate, and one
    that differs from them in capitals or blanks alone is nobody's."""
    fraud = schema.roles.fraud or ()
    codes = pd.Series(kinds.as_codes(cells), index=cells.index, dtype=object)
    alike = codes.astype(str).str.strip().str.lower().isin([word.strip().lower() for word in fraud]) & ~codes.isin(
        fraud
    )
    blank = cells.isin(schema.stands_for_missing("boolean")) & ~codes.isin(fraud)
    return blank, codes.isin(fraud).astype(object).where(~alike)


def which_label(columns: Sequence[str]) -> str:
    """The column of labels. Raises DataError when it, or that of ids, is not there, or two could be meant."""
    other = str(default().roles.label)  # as in transactions
    labels = [name for name in (COLUMN, other) if name in columns]
    if len(labels) > 1:
        raise DataError(f"holds {COLUMN} and {other}; leave one of them out")
    if labels and ID_COLUMN in columns:
        return labels[0]
    if list(columns) == [ID_COLUMN]:
        raise DataError(f"holds ids and no labels; add a column {COLUMN}: 1 for each, if all of them are frauds")
    missing = [*([] if ID_COLUMN in columns else [ID_COLUMN]), *([] if labels else [COLUMN])]
    meant = [[one for one in columns if _plain(one) in _HEADINGS[name]] for name in missing]
    if all(len(one) == 1 for one in meant):
        found = ", ".join(repr(name) for [name] in meant)
        raise DataError(f"the columns are called {found}; did you mean {', '.join(missing)}? Rename them")
    shown = [f"{COLUMN} (or {other})" if name == COLUMN else name for name in missing]
    raise DataError(f"missing columns: {', '.join(shown)}; expected {ID_COLUMN} and {COLUMN} (or {other})")


def which_date(columns: Sequence[str]) -> str | None:
    """The column that says when a label was given. Raises DataError when two could be meant."""
    dates = [name for name in columns if _DATES.fullmatch(name.strip())]
    if len(dates) > 1 and "date" not in dates:
        raise DataError(f"which of {', '.join(map(repr, dates))} says when a label was given? Call that one date")
    return "date" if "date" in dates else next(iter(dates), None)


def times(cells: "pd.Series[str]") -> pd.Series:
    """Dates as ISO 8601 or as 31.12.2026; missing for another form, such as 01/02/2026, which could be two days."""
    iso = pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce")
    return iso.fillna(pd.to_datetime(cells, format="%d.%m.%Y", utc=True, errors="coerce"))


def _plain(heading: str) -> str:
    return re.sub(r"[^a-z0-9]", "", heading.lower())
