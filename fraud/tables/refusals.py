"""Why a table is refused, in words: every message is built here from its facts, for transactions and for labels."""

import re
from collections.abc import Sequence
from pathlib import Path

from fraud.errors import DataError, system_words
from fraud.schema import ID_PATTERN

_MAX_PROBLEMS = 5
MAX_ROWS_NAMED = 5
_MAX_COLUMNS_NAMED = 10
_SAVED_INDEX = re.compile(r"(Unnamed: [\d.]+|__index_level_\d+__|level_\d+|index|\s*)")

NO_ROWS = "the table has no rows"
ID_RULE = f"text that matches {ID_PATTERN}"
"""What an id must be, for ``broken_rule``."""


def unreadable(path: Path, error: OSError) -> DataError:
    """The system does not let us read it."""
    return DataError(f"{path}: cannot be read: {system_words(error)}")


def no_table(path: Path, problem: str) -> DataError:
    """It is no file that could hold a table."""
    return DataError(f"{path}: {problem}; expected a CSV or Parquet table")


def malformed(path: Path, file_format: str, problem: str) -> DataError:
    """It is not of the format that its name or its beginning says."""
    return DataError(f"{path}: not a readable {file_format} file: {problem}")


def other_format(path: Path, kind: str, remedy: str) -> DataError:
    """It is a file of another kind, which is not read."""
    return DataError(f"{path}: is {kind}; {remedy}")


def archive(path: Path, names: Sequence[str]) -> DataError:
    """A zip archive that does not hold exactly one table."""
    if not names:
        return DataError(f"{path}: a zip archive with no file in it; expected one table")
    return DataError(
        f"{path}: a zip archive of {len(names)} files ({_listed(names)}); unzip it, and give the one that is meant"
    )


def not_text(path: Path, place: str) -> DataError:
    """Its bytes are no text of the encoding that is expected, at some ``place``."""
    return no_table(
        path,
        f"not UTF-8 text{place}; if a spreadsheet wrote it, save it as CSV UTF-8, "
        "or convert it: iconv -f WINDOWS-1252 -t UTF-8",
    )


def two_delimiters(path: Path, one: str, other: str) -> DataError:
    """Each row has as many fields whichever of two characters stands between them."""
    return DataError(
        f"{path}: fields could be separated by {one} or by {other}; say which in a first line of its own, such as sep=;"
    )


def unknown_delimiter(path: Path, delimiter: str) -> DataError:
    """The first line says a delimiter that is not read."""
    return DataError(f"{path}: its first line says sep={delimiter}; expected a comma, a semicolon, a tab or |")


def two_decimals(path: Path, column: str, value: str, row: int, decimal: str) -> DataError:
    """A number has another mark than ``decimal``, which others have, or marks of thousands."""
    marks = "points" if decimal == "." else "commas"
    problem = f"{column} holds {value!r} (row {row}), but numbers of this file are read with decimal {marks}"
    return wrong_table([f"{problem}; write all numbers alike, without a mark of thousands"], path)


def decimal_or_thousands(path: Path, column: str, value: str, row: int) -> DataError:
    """Nothing in the file says what the mark in its numbers means."""
    plain = value.replace(",", "").replace(".", "")
    problem = f"{column} holds {value!r} (row {row}), which could be {plain} or {value.replace(',', '.')}"
    remedy = "write thousands without a mark; for decimals put commas between the fields and points into the numbers"
    return wrong_table([f"{problem}; {remedy}"], path)


def one_column(path: Path) -> DataError:
    """Nothing stands between its fields."""
    return DataError(
        f"{path}: one column only; expected a header, and commas, semicolons, tabs or | between the fields"
    )


def no_source(name: str, expected: str) -> DataError:
    """It names nothing that tables come from."""
    return DataError(f"{name} is no data source; expected {expected}")


def nothing_at(place: object) -> DataError:
    """A folder, a pattern or an address without tables."""
    return DataError(f"{place}: there is no CSV or Parquet file there")


def wrong_table(problems: Sequence[str], path: Path | None = None) -> DataError:
    """All that is wrong with the columns and the rows; ``path`` where the caller does not name the file."""
    shown = list(problems[:_MAX_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more problems")
    counted = " [rows are counted from 0 after the header: row 0 is line 2 of a CSV file]"
    words = "; ".join(shown) + (counted if any("(row" in problem for problem in shown) else "")
    return DataError(f"{path}: {words}" if path else words)


def no_label(schema: str) -> DataError:
    """Nobody said which column tells the frauds."""
    return DataError(
        f"the schema {schema} names no label: add `label = 'NAME'` to its [roles] and leave the table of that column "
        "out, or draft it anew with `schema infer --label NAME`"
    )


def repeated_columns(names: Sequence[str]) -> str:
    """Columns that are there twice."""
    return f"columns given more than once: {_listed(names)}"


def missing_columns(names: Sequence[str]) -> str:
    """Columns that are expected and not there."""
    return f"missing columns: {', '.join(names)}"


def wrong_columns(
    missing: Sequence[str], unknown: Sequence[str], known: Sequence[str], levels: Sequence[str] = ()
) -> list[str]:
    """What is wrong with the names of columns; ``levels`` are those that stood in a saved index."""
    problems = [missing_columns(missing)] if missing else []
    problems += [unknown_columns(unknown, known)] if unknown else []
    if [name.strip().lower() for name in unknown] == ["id"] and len(missing) == 1:
        problems.append(
            f"this looks like the card data of 2023, which has an id and no {missing[0]}: "
            "another data set, for a schema and a model of its own"
        )
    if problems and len(levels) > 1:
        problems.append(
            f"{' and '.join(levels)} are levels of a saved index; use reset_index(), and write with index=False"
        )
    return problems


def unknown_columns(names: Sequence[str], known: Sequence[str]) -> str:
    """Columns that are there and not expected, each with a hint where it is one that is often met."""
    alike = {name.lower(): name for name in known}
    return "unknown columns: " + _listed([f"{name!r}{_hint(name, alike.get(name.strip().lower()))}" for name in names])


def _hint(name: str, alike: str | None) -> str:
    if alike:
        return f" (did you mean {alike!r}?)"
    if _SAVED_INDEX.fullmatch(name):
        return " (a saved index? write the file with index=False, or leave this column out)"
    if name.strip().lower() == "id":
        return " (does it name the transactions? rename it as the schema calls ids, or leave it out)"
    return ""


KEEP_OR_DROP = "carry them over with --keep NAME, or leave them out with --drop NAME"
"""What can be done about unknown columns where a file is scored."""


def nothing_to_keep(path: Path, names: Sequence[str]) -> DataError:
    """Columns that should be carried over are not there."""
    return DataError(f"{path}: has no column {_listed([repr(name) for name in names])} to keep")


def kept_twice(path: Path, names: Sequence[str]) -> DataError:
    """Columns that should be carried over are called as those that the output has anyway."""
    return DataError(f"{path}: {_listed(names)} cannot be kept: the output has a column of that name; rename it")


def unnamed_field(number: int, value: str, row: int) -> str:
    """A row holds something beyond the columns; ``number`` counts from 1."""
    return f"the rows have more fields than the header names: field {number} holds {value!r} (row {row})"


def uneven_row(expected: int, number: int, row: int, between: str = "comma") -> str:
    """A row has another ``number`` of fields than the first one, so that nobody knows which is which."""
    return f"expected {expected} fields in each row, got {number} (row {row}); is a {between} missing, or too many?"


def broken_rule(column: str, rule: str, rows: Sequence[int], count: int) -> str:
    """``count`` rows break a rule of a column; ``rows`` are the first of them, counted from 0."""
    named = ", ".join(map(str, rows[:MAX_ROWS_NAMED])) + (", ..." if count > MAX_ROWS_NAMED else "")
    if count == 1:
        return f"{column} must be {rule}: 1 row is not (row {named})"
    return f"{column} must be {rule}: {count} rows are not (rows {named})"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_COLUMNS_NAMED
    return ", ".join(names[:_MAX_COLUMNS_NAMED]) + (f" and {more} more" if more > 0 else "")
