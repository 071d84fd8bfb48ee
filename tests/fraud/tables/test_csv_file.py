"""CSV files whose rows do not have the fields of the header: no column ever moves, in either way of reading."""

import gzip

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.errors import DataError
from fraud.tables import csv_file
from fraud.tables.found import Reading

SHAPE = Reading(text=frozenset({"transaction_id"}), missing=("", "NA"))
BOM = b"\xef\xbb\xbf"


def at_once(path):
    return csv_file.read_csv(path, SHAPE)[0]


def in_chunks(path, rows=2):
    return pd.concat([frame for frame, _ in csv_file.read_csv_chunks(path, rows, SHAPE)], ignore_index=True)


@pytest.fixture(params=[at_once, in_chunks])
def read(request, tmp_path):
    """Reads the bytes of a CSV file, at once and two rows at a time."""

    def written(content, name="t.csv"):
        (tmp_path / name).write_bytes(content)
        return request.param(tmp_path / name)

    return written


@pytest.mark.parametrize(
    "content",
    [
        b"Time,V1\n1,2,\n3,4,\n5,6,\n",
        b"Time,V1,\n1,2,\n3,4,\n5,6,\n",
        b"Time,V1,\n1,2\n3,4\n5,6\n",
        b"Time,V1\n1,2,,,\n3,4,,,\n5,6,,,\n",
        b'Time,V1\n1,2,""\n3,4,""\n5,6,""\n',
        b'"Time","V1"\n"1","2",\n"3","4",\n"5","6",\n',
        b"Time,V1\r\n1,2,\r\n3,4,\r\n5,6,\r\n",
        b"Time,V1\r1,2,\r3,4,\r5,6,\r",
        b"\n \t\nTime,V1\n\n1,2,\n3,4,\n  \n5,6,",
        BOM + b"Time,V1\n1,2,\n3,4,\n5,6,\n",
        BOM + b'\r\n"Time",V1\r\n1,2,\r\n3,4,\r\n5,6,\r\n',
    ],
    ids=[
        "rows",
        "header too",
        "header only",
        "three",
        "quoted",
        "all quoted",
        "CRLF",
        "CR",
        "blank lines",
        "BOM",
        "both",
    ],
)
def test_empty_fields_at_the_end_of_each_row_are_dropped(read, content):
    """The table is the one without them."""
    for name, packed in (("t.csv", content), ("t.csv.gz", gzip.compress(content))):
        frame = read(packed, name)
        assert frame.columns.tolist() == ["Time", "V1"]
        assert frame.to_numpy().tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Time,V1\n1,2,3\n4,5,6\n", "more fields than the header names: field 3 holds '3' (row 0)"),
        (b"Time,V1\n1,2,\n3,4,\n5,6,7\n", "more fields than the header names: field 3 holds '7' (row 2)"),
        (b"Time,V1,\n1,2,\n3,4,5\n", "more fields than the header names: field 3 holds '5' (row 1)"),
        (b"Time,V1\n1,2,,NA\n3,4,,\n", "more fields than the header names: field 4 holds 'NA' (row 0)"),
        (b"Time,V1\n1,2, \n3,4, \n", "more fields than the header names: field 3 holds ' ' (row 0)"),
        (b"Time,V1,Class\n1,2,\n3,4,0\n5,6\n", "expected 3 fields in each row, got 2 (row 2)"),
        (b"Time,V1,Class\n1,2\n3,4,0\n", "expected 3 fields in each row, got 2 (row 0)"),
        (b"Time,V1,transaction_id\n1,2,a\n3,4\n", "expected 3 fields in each row, got 2 (row 1)"),
        (b"Time,V1,Class\n1,2,0,\n\n3,4,\n", "expected 4 fields in each row, got 3 (row 1)"),
        (b"Time,V1,\n1,2\n3,4,\n", "expected 2 fields in each row, got 3 (row 1)"),
        (b"Time,V1\n1,2\n3,4\n5,6,\n", "Expected 2 fields in line 4, saw 3"),
        (b"Time\n1,\n2,\n", "one column only"),
        (b",,\n1,2,3\n", "the header names no column"),
        (b"\n \n", "the header names no column"),
        (b"Time,V1,Class\r1,2,0\r\r,4,0\r", "a row begins with a comma after an empty line; remove that line"),
        (b'Time,"V1\n' + b"1,2\n" * 50_000, "not a readable CSV file"),
    ],
)
def test_other_uneven_rows_are_refused(read, content, words):
    """Named by field and row: a value beyond the header, a field that is missing, a comma in some rows only."""
    with pytest.raises(DataError) as caught:
        read(content)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


CELLS = st.one_of(
    st.integers(-999, 999).map(str),
    st.floats(-1e6, 1e6).map(repr),
    st.sampled_from(["", '""', '"1"', "NA", "1e5", '" 2"', " 3", '"a,b"', '"a\nb"', 'x"', '"q""q"']),
)
NAMES = ("Time", "V1", "V2", "Class", "transaction_id")


@st.composite
def tables(draw):
    """Lines of a CSV file with as many fields in each, some of them blank; then the same with empty fields at ends."""
    width = draw(st.integers(2, 5))
    names = draw(st.permutations(NAMES))[:width]
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=7))
    surplus = draw(
        st.one_of(
            st.integers(0, 3).map(lambda count: [count] * len(rows)),
            st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)),
        )
    )
    end = draw(st.sampled_from(["\n", "\r\n"]))
    start = draw(st.sampled_from(["", "\ufeff", end]))
    header = ",".join(names)
    plain = [header, *(",".join(row) for row in rows)]
    head = header + "," * draw(st.sampled_from([0, 0, surplus[0]]))
    uneven = [head, *(line + "," * more for line, more in zip(plain[1:], surplus, strict=True))]
    text = end.join(uneven) + draw(st.sampled_from(["", end]))
    return (end.join(plain) + end).encode(), (start + text).encode(), len(set(surplus)) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.integers(1, 4))
def test_what_is_read_is_the_table_or_is_refused(tmp_path, table, rows):
    """With 0 to 3 empty fields at the ends of rows, whatever the cells hold; as many in each row are always read."""
    plain, uneven, is_even = table
    (tmp_path / "plain.csv").write_bytes(plain)
    (tmp_path / "uneven.csv").write_bytes(uneven)
    for read in (at_once, lambda path: in_chunks(path, rows)):
        expected = read(tmp_path / "plain.csv")
        try:
            found = read(tmp_path / "uneven.csv")
        except DataError:
            assert not is_even
        else:
            pd.testing.assert_frame_equal(found, expected, check_exact=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text('a1," \n\r', max_size=4), max_size=4), min_size=1, max_size=4), st.integers(1, 3))
def test_no_text_makes_a_field_vanish(tmp_path, lines, rows):
    """Whatever stands there, quotes in odd places included: a named column each, or refused."""
    path = tmp_path / "odd.csv"
    path.write_bytes("\n".join(["Time,V1", *(",".join(cells) for cells in lines)]).encode())
    for read in (at_once, lambda path: in_chunks(path, rows)):
        try:
            found = read(path)
        except DataError:
            continue
        assert found.columns.tolist() == ["Time", "V1"]
        kept = "".join(found.astype(object).fillna("").astype(str).to_numpy().ravel())
        assert kept.count("a") == sum(cell.count("a") for cells in lines for cell in cells)
