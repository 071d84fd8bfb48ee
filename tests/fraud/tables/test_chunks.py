"""Reading chunk by chunk: the same rows and the same words as reading the whole file at once."""

import numpy as np
import pytest

from fraud.errors import DataError
from fraud.schema import default
from fraud.tables import chunks, table
from tests.ulb import COLUMNS, ID_COLUMN, LABEL

SIZE = 64


@pytest.fixture(scope="module")
def given(frame):
    """300 labelled rows with ids."""
    return frame[:300].assign(**{ID_COLUMN: [f"t-{number}" for number in range(300)]})


@pytest.fixture(params=["csv", "csv.gz", "one group.parquet", "tiny groups.parquet"])
def save(request, tmp_path):
    """Writes a frame to a file of each kind, and Parquet with row groups above and below the chunk's size."""

    def write(frame):
        path = tmp_path / request.param
        if path.suffix == ".parquet":
            frame.to_parquet(path, row_group_size=10 if path.name.startswith("tiny") else None)
        else:
            frame.to_csv(path, index=False)
        return path

    return write


def with_cell(frame, row, column, value):
    values = frame[column].astype(object if isinstance(value, str) else frame[column].dtype).to_list()
    values[row] = value
    return frame.assign(**{column: values})


def whole(path):
    return table.check(table.read_table(path, default()), default(), labelled=False)


def test_chunks_are_the_rows_of_the_file(save, given):
    """All rows in their order with their ids, none in a chunk above the size; the share read grows to all."""
    found = list(chunks.read_chunks(save(given), default(), {}, SIZE))
    assert len(found) >= 5
    assert max(len(chunk.rows) for chunk in found) <= SIZE
    expected = given[list(COLUMNS)].to_numpy(np.float64)
    assert np.concatenate([chunk.rows for chunk in found]).tobytes() == expected.tobytes()
    assert [one for chunk in found for one in chunk.ids.to_pylist()] == given[ID_COLUMN].tolist()
    shares = [chunk.share for chunk in found]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_reading_goes_on_at_any_chunks_end(save, given):
    """From where a chunk ended, the same chunks follow as without the stop."""
    path = save(given)
    found = list(chunks.read_chunks(path, default(), {}, SIZE))
    start = 0
    for number, chunk in enumerate(found):
        start += len(chunk.rows)
        rest = list(chunks.read_chunks(path, default(), {}, SIZE, start))
        assert [one.rows.tobytes() for one in rest] == [one.rows.tobytes() for one in found[number + 1 :]]


@pytest.mark.parametrize(
    "cells",
    [
        [(250, "V7", np.nan)],
        [(3, "V7", np.inf), (250, "V7", -np.inf)],
        [(row, "Amount", -1.0) for row in range(60, 80)],
        [(70, "Time", -1.0), (71, "V1", 2e6), (290, ID_COLUMN, "no id")],
    ],
    ids=["empty", "two chunks", "many", "several rules"],
)
def test_bad_rows_are_said_as_of_the_whole_file(save, given, cells):
    """Count, rule and row numbers are those of reading the file at once."""
    for cell in cells:
        given = with_cell(given, *cell)
    path = save(given)
    with pytest.raises(DataError) as expected:
        whole(path)
    with pytest.raises(DataError) as caught:
        list(chunks.read_chunks(path, default(), {}, SIZE))
    assert str(caught.value) == str(expected.value)


def test_rows_are_counted_from_the_files_start_after_a_stop(save, given):
    """A bad row behind the place where reading goes on has the number that it has in the file."""
    path = save(with_cell(given, 250, "V7", np.nan))
    start = len(next(chunks.read_chunks(path, default(), {}, SIZE)).rows)
    with pytest.raises(DataError, match=r"V7 must be not empty: 1 row is not \(row 250\)"):
        list(chunks.read_chunks(path, default(), {}, SIZE, start))


def test_good_chunks_before_a_bad_row_come_first(save, given):
    """What can be used is given before the error, and nothing after it."""
    reader = chunks.read_chunks(save(with_cell(given, 130, "V3", np.nan)), default(), {}, SIZE)
    rows = 0
    with pytest.raises(DataError, match=r"V3 must be not empty: 1 row is not \(row 130\)"):
        for chunk in reader:
            rows += len(chunk.rows)
    assert 60 <= rows <= 130


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.astype({"V1": np.float32, "Amount": np.int64}),
        lambda frame: frame.assign(V2=frame["V2"].map(str).astype(object).map(float).astype(object)),
        lambda frame: frame.assign(**{ID_COLUMN: range(300)}),
        lambda frame: frame.assign(**{LABEL: "unknown"}),
        lambda frame: frame[sorted(frame.columns)],
    ],
    ids=["narrow types", "objects", "numbers as ids", "labels of no use", "another order"],
)
def test_what_the_whole_check_accepts_is_accepted_alike(tmp_path, given, change):
    """The values and ids are those of ``table.check``."""
    path = tmp_path / "t.parquet"
    change(given).to_parquet(path)
    expected = whole(path)
    found = list(chunks.read_chunks(path, default(), {}, SIZE))
    assert np.concatenate([c.rows for c in found]).tobytes() == expected[list(COLUMNS)].to_numpy().tobytes()
    assert [one for c in found for one in c.ids.to_pylist()] == expected[ID_COLUMN].tolist()


@pytest.mark.parametrize("value", [-1.0, 1e12, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["Time", "V28", "Amount"])
def test_no_bad_value_passes(tmp_path, given, column, value):
    """In the last row of the last chunk either."""
    if column == "V28" and value == -1:
        value = -2e6
    path = tmp_path / "t.parquet"
    with_cell(given, 299, column, value).to_parquet(path)
    with pytest.raises(DataError, match=rf"{column} must be .*row 299"):
        list(chunks.read_chunks(path, default(), {}, SIZE))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("Time,V1\n", "missing columns"),
        ("Time\n1\n", "one column only"),
        ("Time,V1\n1,2\n1,2,3,4\n", "not a readable CSV"),
        ("Time,V1\n1,2,3\n", "more fields than the header"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, words):
    """As when it is read at once."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        list(chunks.read_chunks(path, default(), {}, SIZE))
    with pytest.raises(DataError, match=words):
        whole(path)
