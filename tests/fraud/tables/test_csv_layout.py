"""A table as people write it, in every combination of delimiter, decimal mark, encoding, packing, line end and quotes,
is the table that was written; what could be read in two ways is refused."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.errors import DataError
from fraud.schema import default
from fraud.tables import csv_file, csv_layout, table
from fraud.tables.found import AS_WRITTEN, Found, Reading

SHAPE = Reading(text=frozenset({"note"}), missing=("", "NA"))
NAMES = ["Time", "V1", "Class", "note"]


def zipped(content, name="table.csv"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


PACKED = {
    None: bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pyarrow.Codec("zstd").compress(content, asbytes=True),
    "zip": zipped,
}
ENCODED = {
    "utf-8": lambda text: text.encode(),
    "utf-8-sig": lambda text: text.encode("utf-8-sig"),
    "utf-16-le": lambda text: ("\ufeff" + text).encode("utf-16-le"),
    "utf-16-be": lambda text: ("\ufeff" + text).encode("utf-16-be"),
}
FORMS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "decimal": st.sampled_from(".,"),
        "encoding": st.sampled_from(sorted(ENCODED)),
        "packing": st.sampled_from(list(PACKED)),
        "end": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoted": st.booleans(),
        "said": st.booleans(),
    }
)
PLAIN = {"delimiter": ",", "decimal": ".", "encoding": "utf-8", "packing": None, "end": "\n"}
PLAIN |= {"quoted": False, "said": False}
NOTES = st.text('ab1é€漢😀 ,;|\t".\n\r', max_size=6) | st.sampled_from(["007", "1,5", "1.5", "NA", "", "1e5", "sep=;"])
NUMBERS = st.integers(-(10**8), 10**8).map(lambda number: number / 10**4)
ROWS = st.tuples(st.integers(0, 10**6), NUMBERS, st.sampled_from(["0", "1", "", "NA"]), NOTES)


def written(rows, form):
    """The table as bytes; its first number says the decimal mark beyond doubt."""
    numbers = [(0, 0.5, "1", "first"), *rows]
    cells = [[str(t), f"{n:.4f}".replace(".", form["decimal"]), label, note] for t, n, label, note in numbers]
    lines = [form["delimiter"].join(quoted(cell, form) for cell in row) for row in [NAMES, *cells]]
    said = [f"sep={form['delimiter']}"] if form["said"] else []
    text = "".join(line + form["end"] for line in said + lines)
    return PACKED[form["packing"]](ENCODED[form["encoding"]](text))


def quoted(cell, form):
    must_be = any(one in cell for one in (form["delimiter"], '"', "\r", "\n"))
    return '"' + cell.replace('"', '""') + '"' if must_be or form["quoted"] else cell


def in_chunks(path, rows, shape=SHAPE):
    return pd.concat([frame for frame, _ in csv_file.read_csv_chunks(path, rows, shape)], ignore_index=True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=6), FORMS, st.integers(1, 4))
def test_a_table_is_read_as_it_was_written_in_whatever_form(tmp_path, rows, form, size):
    """The numbers are those of the plain file to the bit, the text is what was written, and the form is told."""
    (tmp_path / "plain").write_bytes(written(rows, PLAIN))
    path = tmp_path / "other"
    path.write_bytes(written(rows, form))
    expected, _ = csv_file.read_csv(tmp_path / "plain", SHAPE)
    frame, found = csv_file.read_csv(path, SHAPE)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)
    assert frame["note"].tolist() == ["first", *(row[3] for row in rows)]
    np.testing.assert_allclose(frame["V1"], [0.5, *(row[1] for row in rows)], rtol=1e-12)
    pd.testing.assert_frame_equal(in_chunks(path, size), expected, check_exact=True, check_dtype=False)
    assert (found.delimiter, found.decimal, found.compression) == (form["delimiter"], form["decimal"], form["packing"])
    text, _ = csv_file.read_text(path)
    assert text["Class"].tolist() == ["1", *(row[2] for row in rows)]
    pd.testing.assert_frame_equal(in_chunks(path, size, AS_WRITTEN), text)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found(",", ".", "utf-8"), "CSV, commas, decimal points, UTF-8"),
        (Found(";", ",", "utf-16-le", "gzip"), "CSV, semicolons, decimal commas, UTF-16, gzip"),
        (Found("\t", None, "utf-8", "zip", "a.csv"), "CSV, tabs, UTF-8, zip (a.csv)"),
        (Found(None, None, "utf-8"), "CSV, one column, UTF-8"),
    ],
)
def test_what_was_found_is_said(found, words):
    """In the order delimiter, decimal mark, encoding, packing; what is not there is left out."""
    assert found.words() == words


@pytest.fixture
def told(tmp_path):
    """What is said of bytes that are refused, alike at once and in chunks."""

    def read(content, shape=SHAPE, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        words = []
        for reader in (csv_file.read_csv, lambda path, shape: in_chunks(path, 2, shape)):
            with pytest.raises(DataError) as caught:
                reader(path, shape)
            words.append(str(caught.value).removeprefix(str(path)))
        assert words[0] == words[1]
        assert "\n" not in words[0]
        return words[0]

    return read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Time;V1\n1;1,234\n2;12,000\n",
            "V1 holds '1,234' (row 0), which could be 1234 or 1.234; write thousands with",
        ),
        ("Time;V1\n1;7\n2;1.234\n", "V1 holds '1.234' (row 1), which could be 1234 or 1.234; write thousands without"),
        ('Time,V1\n1,"1,234"\n', "V1 holds '1,234' (row 0), which could be 1234 or 1.234; write thousands without"),
        (
            "Time;V1;V2\n1;0,5;1\n2;1;0.5\n",
            "V2 holds '0.5' (row 1), but numbers of this file are read with decimal comm",
        ),
        ("Time;V1\n1;0,5\n2;0.5\n", "V1 holds '0.5' (row 1), but numbers of this file are read with decimal commas"),
        ("Time;V1\n1;0,5\n2;1.234\n", "V1 holds '1.234' (row 1), but numbers of this file are read with decimal comm"),
        ("Time;V1\n1;0,5\n2;1.234,5\n", "V1 holds '1.234,5' (row 1), but numbers of this file are read with decimal"),
        ('Time,V1\n0.5,"1,234"\n', "V1 holds '1,234' (row 0), but numbers of this file are read with decimal points"),
        ('Time,V1\n5,"1,234,567"\n', "V1 holds '1,234,567' (row 0), but numbers of this file are read with decimal"),
        ("Time;V1\n0.5;x\n1;2\n3;0,5\n", "V1 holds '0,5' (row 2), but numbers of this file are read with decimal"),
        ("a, b;V1\n1,5;2\n", "fields could be separated by commas or by semicolons; say which in a first line"),
        ("sep=:\nTime:V1\n1:2\n", "its first line says sep=:; expected a comma, a semicolon, a tab or |"),
        ("Time:V1\n1:2\n", "one column only; expected a header, and commas, semicolons, tabs or |"),
        ("Time;V1;Class\n1;2\n3;4;0\n", "expected 3 fields in each row, got 2 (row 0); is a semicolon missing"),
        ("Time;V1\n1;2;3\n4;5;6\n", "more fields than the header names: field 3 holds '3' (row 0)"),
        ("Time|V1|Class\r1|2|0\r\r|4|0\r", "a row begins with a vertical bar after an empty line; remove that line"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(told, text, words):
    """With the value, its row, and what to write instead; alike in UTF-8 and UTF-16, packed or not."""
    assert words in told(text.encode())
    assert words in told(gzip.compress(("\ufeff" + text).encode("utf-16-le")))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Time;V1\n1;1,234\n2;0,5\n", [1.234, 0.5]),
        ("Time;V1\n1;7\n" + "1;8\n" * 30_000 + "2;0,5\n", [7, *[8] * 30_000, 0.5]),
        ("Time,V1\n1,1.234\n", [1.234]),
        ("Time;V1\n1;7\n", [7]),
        ('Time,V1\n1,"0,5"\n', [0.5]),
        ('"a;b","V1"\n"1;5","2"\n', [2]),
        ("a|b;V1\n1;2\n3|4;5\n", [2, 5]),
        ("sep=;\na, b;V1\n1,5;2\n", [2]),
    ],
)
def test_what_decides_may_stand_anywhere(tmp_path, text, values):
    """A number that is read in one way only, far below; the points of a comma file; quotes; a first line."""
    (tmp_path / "t.csv").write_text(text)
    assert csv_file.read_csv(tmp_path / "t.csv", SHAPE)[0]["V1"].tolist() == values


def test_one_word_in_a_column_of_decimal_commas_is_the_only_fault(tmp_path):
    """The others of its column can still be told to be numbers."""
    (tmp_path / "t.csv").write_text("Time;V1\n1;0,5\n2;n.a.\n3;1,234\n")
    assert csv_file.read_csv(tmp_path / "t.csv", SHAPE)[0]["V1"].tolist() == ["0.5", "n.a.", "1.234"]


def test_text_columns_decide_nothing(tmp_path):
    """A note is no number, whatever stands in it."""
    (tmp_path / "t.csv").write_text("note;V1\n1,5;0.5\n1,234;1\n")
    assert csv_file.read_csv(tmp_path / "t.csv", SHAPE)[0].to_numpy().tolist() == [["1,5", 0.5], ["1,234", 1.0]]


def test_columns_that_nobody_knows_decide_nothing(tmp_path):
    """They stay text, for somebody to keep or to refuse."""
    (tmp_path / "t.csv").write_text("other;V1\n1,5;0.5\n007;1\n")
    shape = Reading(text=frozenset(), missing=("",), known=frozenset({"V1"}))
    assert csv_file.read_csv(tmp_path / "t.csv", shape)[0].to_numpy().tolist() == [["1,5", 0.5], ["007", 1.0]]


def office(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "Time,V1\n1,2\n" if name.endswith("csv") else "")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (office("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook (.xlsx); save the sheet as CSV"),
        (office("mimetype", "content.xml"), "is an OpenDocument file (.ods); save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is an older Excel workbook (.xls); save the sheet as CSV"),
        (b'[{"Time": 1, "V1": 2}]', "is JSON; export the table as CSV or Parquet"),
        (b'{"Time": 1, "V1": 2}\n{"Time": 2, "V1": 2}\n', "is JSON; export the table"),
        (b"<!DOCTYPE html><html><body>Sign in, please</body>", "is an HTML page; download the file itself"),
        (b"%PDF-1.7\n", "is a PDF document; export the table"),
        (b"\x80\x04\x95,,", "is a pickled object; write the table as Parquet"),
        (office("a.csv", "b.csv"), "a zip archive of 2 files (a.csv, b.csv); unzip it, and give the one that is meant"),
        (office("a.txt.csv/"), "a zip archive with no file in it"),
        (zipped(b""), "the file is empty"),
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(gzip.compress(b"Time,V1\n1,2\n")), "is compressed twice; unpack it first"),
        (gzip.compress(b"x.csv" + bytes(252) + b"ustar" + bytes(99)), "is a tar archive; unpack it first"),
        (b"Time,V1\n".decode().encode("utf-16-le"), "is UTF-16 text without a byte-order mark; save it as UTF-8"),
        ("Time,V1\n".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
        (b"\x01\x00\x02\x00\x00\x00\x07" * 9, "is binary data; give a CSV or Parquet file"),
        ("Time,note\n1,2\n3,é\n".encode("cp1252"), "not UTF-8 text (byte 0xe9 in line 3); if a spreadsheet wrote it"),
        (b"Time,note\n" + b"1,2\n" * 99_999 + b"3,\xe9\n", "not UTF-8 text (byte 0xe9 in line 100001)"),
        ("\ufeffTime,V1\n1,2\n".encode("utf-16-le") + b"x", "damaged UTF-16 text; save it as UTF-8"),
        (lzma.compress(b"Time,V1\n1,2\n" * 999)[:-30], "not a readable CSV file"),
        (PACKED["zstd"](b"Time,V1\n1,2\n" * 99_999)[:-9], "Truncated compressed stream"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_what_is_not_read_is_named(tmp_path, content, words):
    """With what to do instead, whatever the file is called."""
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        table.read_table(path, default())
    assert words in str(caught.value)


def test_a_zip_archive_may_hold_more_than_its_table(tmp_path):
    """What a Mac puts in, and a text beside the table; which one was read is told."""
    (tmp_path / "t.zip").write_bytes(office("__MACOSX/._a.csv", "LICENSE", "data/a.csv", ".DS_Store"))
    frame, found = csv_file.read_csv(tmp_path / "t.zip", SHAPE)
    assert (len(frame), found.member) == (1, "data/a.csv")


@pytest.mark.parametrize("header", ["ORCHID,V1", "BZh,V1", "[id],V1", "{x},V1", "Rar!,V1", "PAR1,V1", "sep=,V1"])
def test_a_header_that_begins_like_another_format_is_a_header(tmp_path, header):
    """First bytes are compared as far as they go."""
    (tmp_path / "t.csv").write_text(f"{header}\n1,2\n")
    assert csv_file.read_csv(tmp_path / "t.csv", SHAPE)[0].columns.tolist() == header.split(",")


@pytest.mark.parametrize("packing", PACKED)
def test_the_share_read_grows_to_all(tmp_path, packing):
    """Whatever the packing: what a bar of progress shows."""
    random = np.random.default_rng(1).normal(size=60_000)
    content = "Time,V1\n" + "".join(f"1,{number}\n" for number in random)
    (tmp_path / "t").write_bytes(PACKED[packing](content.encode()))
    shares = [share for _, share in csv_file.read_csv_chunks(tmp_path / "t", 7_000, SHAPE)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert shares[-1] == 1


def test_the_first_rows_as_text(tmp_path):
    """As many as are asked for, as they are written; a file of one column too."""
    (tmp_path / "t.csv").write_text("id\n007\nNA\n1e5\n")
    frame, found = csv_file.read_text(tmp_path / "t.csv", 2)
    assert (frame["id"].tolist(), found.delimiter) == (["007", "NA"], None)
    assert csv_layout.find(tmp_path / "t.csv", AS_WRITTEN) == found
