import csv
import datetime
import decimal
import gzip

import numpy as np
import pandas as pd
import pytest

from fraud.errors import DataError
from fraud.inputs.levels import OTHER
from fraud.schema import default, parse
from fraud.tables import table
from tests.shop_schema import SCHEMA, generate
from tests.ulb import COLUMNS, ID_COLUMN, LABEL, bounds


@pytest.fixture
def frame():
    """Twenty valid labelled rows, three of them frauds."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame(random.normal(size=(20, len(COLUMNS))), columns=list(COLUMNS))
    return rows.assign(Time=np.arange(20.0), Amount=rows["Amount"].abs(), **{LABEL: [1, 1, 1] + [0] * 17})


def message(frame, labelled=True):
    with pytest.raises(DataError) as caught:
        table.check(frame, default(), labelled=labelled)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unreadable(path):
    with pytest.raises(DataError) as caught:
        table.read_table(path, default())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_cells(frame, column, cells):
    values = frame[column].astype(object)
    for row, value in cells.items():
        values[row] = value
    return frame.assign(**{column: values})


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.csv.gz", "t.parquet", "t.pq", "csv.data", "parquet.data"])
def test_reads_either_format(tmp_path, frame, name):
    """CSV and Parquet are told apart by suffix, or else by content, and give the same checked frame, bit for bit."""
    path = tmp_path / name
    if "pq" in name or "parquet" in name:
        frame.to_parquet(path)
    else:
        path.write_bytes((gzip.compress if name.endswith("gz") else bytes)(frame.to_csv(index=False).encode()))
    pd.testing.assert_frame_equal(
        table.check(table.read_table(path, default()), default(), labelled=True),
        table.check(frame, default(), labelled=True),
        check_exact=True,
    )


def test_reads_the_kaggle_layout(tmp_path, frame):
    """A quoted header, quoted labels and a Time written 1e+05 among whole numbers load as numbers."""
    rows = [[f'"{name}"' for name in frame.columns]]
    for position, (_, row) in enumerate(frame.iterrows()):
        time = "1e+05" if position == 7 else str(99_993 + position)
        rows.append([time, *(repr(value) for value in row[list(COLUMNS[1:])]), f'"{row[LABEL]:.0f}"'])
    path = tmp_path / "creditcard.csv"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    checked = table.check(table.read_table(path, default()), default(), labelled=True)
    assert checked["Time"].tolist() == [99_993.0 + position for position in range(20)]
    assert checked[LABEL].sum() == 3


def test_csv_ids_stay_as_written(tmp_path, frame):
    """Ids that look like numbers or like nothing (007, NA) come back as the text they were."""
    path = tmp_path / "t.csv"
    ids = ["007", "NA", "1e5", *(f"t-{number}" for number in range(17))]
    frame.assign(**{ID_COLUMN: ids}).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    assert table.check(table.read_table(path, default()), default(), labelled=False)[ID_COLUMN].tolist() == ids


def test_parquet_index(tmp_path, frame):
    """A filtered frame's leftover index is dropped; ids kept as the index become their column again."""
    frame[frame.index % 2 == 1].to_parquet(tmp_path / "filtered.parquet")
    assert len(table.check(table.read_table(tmp_path / "filtered.parquet", default()), default(), labelled=True)) == 10
    named = frame.set_index(pd.Index([f"t{number}" for number in range(20)], name=ID_COLUMN))
    named.to_parquet(tmp_path / "named.parquet")
    assert (
        table.check(table.read_table(tmp_path / "named.parquet", default()), default(), labelled=True)[ID_COLUMN][3]
        == "t3"
    )


def test_partition_like_folder(tmp_path, frame):
    """A folder called Class=1 does not overwrite the column."""
    (tmp_path / "Class=1").mkdir()
    frame.to_parquet(tmp_path / "Class=1" / "t.parquet")
    assert table.read_table(tmp_path / "Class=1" / "t.parquet", default())[LABEL].sum() == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "empty"),
        ("t.parquet", b"", "empty"),
        ("t.csv", b"\n\n\n", "not a readable CSV"),
        ("t.csv", b"Time,V1\n1,2\n1,2,3\n", "line 3"),
        ("t.csv", b"Time,V1\n1,2,3\n1,2,3\n", "more fields than the header"),
        ("t.csv", b"Time:V1\n1:2\n", "commas"),
        ("t.csv", b"some words", "one column only"),
        ("t.csv", "Time,V\xe9\n1,2\n".encode("latin-1"), "UTF-8"),
        ("t.csv", "Time,V1\n1,2\n".encode("utf-16-le"), "is UTF-16 text without a byte-order mark; save it as UTF-8"),
        ("t.csv", b'Time,V1\n1,"2\n', "not a readable CSV"),
        ("t.csv.gz", gzip.compress(b"Time,V1\n1,2\n" * 50, mtime=0)[:-12], "not a readable CSV"),
        ("t.parquet", b"Time,V1\n1,2\n", "not a readable Parquet"),
        ("t.data", b"PAR1 and then nothing of use PAR1", "not a readable Parquet"),
    ],
)
def test_unreadable_files(tmp_path, name, content, said):
    """Every way in which a file is no table gives one line that names the file and the reason."""
    path = tmp_path / name
    path.write_bytes(content)
    assert said in unreadable(path)


def test_missing_file_and_folder(tmp_path):
    """A path that does not exist and a path to a folder are told apart."""
    assert "no such file" in unreadable(tmp_path / "none.csv")
    assert "not a file" in unreadable(tmp_path)


def test_truncated_parquet(tmp_path, frame):
    """A Parquet file with a damaged middle is a stated error as well."""
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[:400] + b"\xff" * 300 + content[700:])
    unreadable(path)


def test_checked_frame(frame):
    """The result is in schema order, float64 with an int8 label last, whatever order and numbers came in."""
    given = frame[frame.columns[::-1]].assign(Time=range(20), V1=pd.array([1] * 20, dtype="Int64"))
    given["V2"] = np.float32(0.5)
    given["Amount"] = [decimal.Decimal("1.25")] * 20
    checked = table.check(given, default(), labelled=True)
    assert list(checked.columns) == [*COLUMNS, LABEL]
    assert {str(kind) for kind in checked[list(COLUMNS)].dtypes} == {"float64"}
    assert str(checked[LABEL].dtype) == "int8"
    assert checked["Amount"].eq(1.25).all()


def test_label_is_ignored_when_scoring(frame):
    """Without labelled, a Class column of any content is dropped, and none is needed."""
    assert list(table.check(frame.assign(**{LABEL: "?"}), default(), labelled=False).columns) == list(COLUMNS)
    assert list(table.check(frame.drop(columns=LABEL), default(), labelled=False).columns) == list(COLUMNS)


def test_the_given_frame_is_left_alone(frame):
    """Checking changes nothing in the frame it is given."""
    before = frame.copy(deep=True)
    table.check(frame, default(), labelled=False)
    pd.testing.assert_frame_equal(frame, before)


def test_column_names(frame):
    """Missing and unknown columns are named; a name that differs in case or spaces gets a hint."""
    said = message(frame.rename(columns={"Amount": " amount", "V5": "x"}))
    assert "missing columns: V5, Amount" in said
    assert "unknown columns: 'x', ' amount' (did you mean 'Amount'?)" in said
    assert f"missing columns: {LABEL}" in message(frame.drop(columns=LABEL))
    assert "more than once: V1" in message(pd.concat([frame, frame[["V1"]]], axis=1))


def test_no_rows(frame):
    """A table with a header alone is refused."""
    assert "no rows" in message(frame.iloc[:0])


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("V3", {4: "abc", 9: "1.5x"}, "V3 must be a number: 2 rows are not (rows 4, 9)"),
        ("V3", {4: "1.5"}, "V3 must be a number: 1 row is not (row 4)"),
        ("V3", {4: True}, "V3 must be a number: 1 row is not (row 4)"),
        ("V3", {4: datetime.date(2020, 1, 1)}, "V3 must be a number: 1 row is not (row 4)"),
        ("V3", {4: None}, "V3 must be not empty: 1 row is not (row 4)"),
        ("V3", {4: np.inf, 5: -np.inf}, "V3 must be finite: 2 rows are not (rows 4, 5)"),
        ("Amount", {0: -0.01}, "Amount must be from 0 to 1e+09: 1 row is not (row 0)"),
        ("Time", {19: -1}, "Time must be from 0 to 1e+11: 1 row is not (row 19)"),
        (LABEL, {1: 2}, "Class must be 0 or 1: 1 row is not (row 1)"),
        (LABEL, {1: 0.5}, "Class must be 0 or 1: 1 row is not (row 1)"),
        (LABEL, {1: "fraud"}, "Class must be 0 or 1: 1 row is not (row 1)"),
        (LABEL, {1: None}, "Class must be not empty: 1 row is not (row 1)"),
        ("V3", dict.fromkeys(range(9), "a"), "9 rows are not (rows 0, 1, 2, 3, 4, ...)"),
    ],
)
def test_bad_cells(frame, column, cells, said):
    """A bad cell gives the column, its rule, how many rows break it and which come first, and nothing else."""
    text = message(with_cells(frame, column, cells))
    assert said in text
    assert ";" not in text
    assert "row 0 is line 2 of a CSV file" in text


@pytest.mark.parametrize(
    "values",
    [
        [True] * 20,
        ["1.5"] * 20,
        pd.date_range("2020-01-01", periods=20),
        pd.to_timedelta(np.arange(20), unit="s"),
        pd.Categorical(["a"] * 20),
        [1j] * 20,
        [[1.0]] * 20,
    ],
    ids=["boolean", "text", "date", "duration", "category", "complex", "list"],
)
def test_bad_column_types(frame, values):
    """A column of another type is refused whole: booleans, dates and text that spells numbers are no numbers."""
    assert "V3 must be a number: 20 rows are not" in message(frame.assign(V3=values))


def test_a_typo_in_a_csv_is_found(tmp_path, frame):
    """One word in a CSV column turns all of it into text; only the typo is reported."""
    path = tmp_path / "t.csv"
    with_cells(frame, "V3", {11: "n.a"}).to_csv(path, index=False)
    assert "V3 must be a number: 1 row is not (row 11)" in message(table.read_table(path, default()))


@pytest.mark.parametrize("column", COLUMNS)
def test_bounds_follow_the_schema(frame, column):
    """Each column may hold its bounds, and nothing beyond either."""
    low, high = bounds(column)
    table.check(with_cells(frame, column, {0: low, 1: high}), default(), labelled=True)
    beyond = {0: np.nextafter(low, -np.inf), 1: np.nextafter(high, np.inf)}
    assert f"{column} must be from" in message(with_cells(frame, column, beyond))


def test_ids(frame):
    """Ids follow the schema's pattern; whole numbers become text; none may be empty or end in a line break."""
    assert table.check(frame.assign(**{ID_COLUMN: range(20)}), default(), labelled=True)[ID_COLUMN][3] == "3"
    valid = [f"t{number}" for number in range(19)]
    for bad in ("", "a b", None, "x\n"):
        assert f"{ID_COLUMN} must be" in message(frame.assign(**{ID_COLUMN: [*valid, bad]}))


def test_many_problems(frame):
    """Several problems come in one line, the first five in full and the others counted."""
    said = message(frame * -np.inf)
    assert said.count(";") == 5
    assert "more problems" in said


def test_rows_are_counted_by_position(frame):
    """Row numbers are positions, whatever index the frame carries."""
    shuffled = with_cells(frame, "V3", {4: "abc"}).iloc[::-1]
    assert "(row 15)" in message(shuffled)


def test_a_saved_index_is_named(tmp_path, frame):
    """The first column of a file that pandas wrote with its index, once or twice."""
    frame.to_csv(tmp_path / "t.csv")
    said = message(table.read_table(tmp_path / "t.csv", default()))
    assert "unknown columns: 'Unnamed: 0' (a saved index? write the file with index=False" in said
    pd.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "t.csv")
    assert message(table.read_table(tmp_path / "t.csv", default())).count("a saved index?") == 2


def test_levels_of_a_parquet_index_are_columns(tmp_path, frame):
    """Each that has a name; what is left over is named as a part of the index."""
    frame.assign(id=range(20)).set_index(["Time", "id"]).to_parquet(tmp_path / "two.parquet")
    said = message(table.read_table(tmp_path / "two.parquet", default()))
    assert "missing" not in said
    assert "unknown columns: 'id' (does it name the transactions?" in said
    assert "Time and id are levels of a saved index; use reset_index()" in said
    levels = pd.MultiIndex.from_arrays([frame["Time"], range(20)], names=["Time", None])
    frame.drop(columns="Time").set_index(levels).to_parquet(tmp_path / "unnamed.parquet")
    checked = table.check(table.read_table(tmp_path / "unnamed.parquet", default()), default(), labelled=True)
    assert checked["Time"].tolist() == list(range(20))


def test_the_data_of_another_year_is_named(frame):
    """An id in place of the time."""
    said = message(frame.rename(columns={"Time": "id"}))
    assert "missing columns: Time; unknown columns: 'id'" in said
    assert "looks like the card data of 2023, which has an id and no Time: another data set" in said


@pytest.fixture(scope="module")
def shop():
    """300 rows of a second schema."""
    return generate(300, seed=4)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_second_schema_is_read_from_either_format(tmp_path, shop, name):
    """Times, texts, booleans and missing values of every kind are the same from a CSV file and from Parquet."""
    path = tmp_path / name
    shop.to_parquet(path) if name.endswith("parquet") else shop.to_csv(path, index=False)
    checked = table.check(table.read_table(path, SCHEMA), SCHEMA, labelled=True)
    assert list(checked.columns) == [*SCHEMA.inputs, "fraudulent", "order", "customer", "comment"]
    assert checked["bought_at"].tolist() == pd.to_datetime(shop["bought_at"]).map(pd.Timestamp.timestamp).tolist()
    assert checked["fraudulent"].tolist() == shop["fraudulent"].eq("Y").astype(int).tolist()
    for column in ("country", "channel"):
        assert [None if pd.isna(text) else text for text in checked[column]] == shop[column].tolist()
    assert checked["returning"].isna().tolist() == shop["returning"].isna().tolist()
    np.testing.assert_array_equal(checked["age"], shop["age"].astype(float))


def test_a_text_that_means_missing_elsewhere_is_a_level(tmp_path, shop):
    """NA is Namibia: of texts only the empty one is missing where nothing else is declared."""
    shop.to_csv(tmp_path / "t.csv", index=False)
    checked = table.check(table.read_table(tmp_path / "t.csv", SCHEMA), SCHEMA, labelled=True)
    assert "NA" in table.levels_of(checked, SCHEMA)["country"]
    assert checked["country"].isna().sum() == shop["country"].isna().sum() > 0


def test_a_column_that_may_be_missing_may_be_left_out(shop):
    """It is read as missing in every row; others are missed by name."""
    checked = table.check(shop.drop(columns=["age", "country", "comment"]), SCHEMA, labelled=True)
    assert checked[["age", "country"]].isna().to_numpy().all()
    assert "missing columns: total, channel" in refused(shop.drop(columns=["total", "channel"]))
    assert "missing columns: fraudulent" in refused(shop.drop(columns="fraudulent"))


def refused(frame):
    """What is said of a table of the second schema."""
    with pytest.raises(DataError) as caught:
        table.check(frame, SCHEMA, labelled=True)
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("bought_at", "soon", "bought_at must be a time in ISO 8601, or in seconds since 1970: 1 row is not (row 7)"),
        ("bought_at", None, "bought_at must be not empty: 1 row is not (row 7)"),
        ("total", -1, "total must be from 0 to 10000: 1 row is not (row 7)"),
        ("total", None, "total must be not empty: 1 row is not (row 7)"),
        ("channel", "fax", "channel must be one of app, shop, web: 1 row is not (row 7)"),
        ("channel", None, "channel must be not empty: 1 row is not (row 7)"),
        ("returning", "perhaps", "returning must be true or false, yes or no, or 1 or 0: 1 row is not (row 7)"),
        ("country", "x" * 257, "country must be text of at most 256 characters: 1 row is not (row 7)"),
        ("fraudulent", None, "fraudulent must be not empty: 1 row is not (row 7)"),
        ("order", None, "order must be not empty: 1 row is not (row 7)"),
        ("order", "a b", "order must be text that matches"),
    ],
)
def test_bad_cells_of_a_second_schema(shop, column, value, said):
    """A bad cell gives the column, its rule and its row, and nothing else."""
    told = refused(with_cells(shop, column, {7: value}))
    assert said in told
    assert ";" not in told


def test_rows_hold_levels_by_their_place(shop):
    """OTHER for a level that is not in the list, NaN for none; numbers as they are."""
    checked = table.check(shop, SCHEMA, labelled=True)
    rows = table.rows(checked, SCHEMA, {"country": ("DE", "AT"), "channel": ("app", "shop", "web")})
    places = {"DE": 0.0, "AT": 1.0}
    expected = [np.nan if one is None else places.get(one, OTHER) for one in shop["country"]]
    np.testing.assert_array_equal(rows[:, SCHEMA.inputs.index("country")], expected)
    np.testing.assert_array_equal(rows[:, SCHEMA.inputs.index("total")], shop["total"])
    assert rows.dtype == np.float64


@pytest.mark.parametrize("spelling", ["y", " Y", "Y "])
def test_a_label_that_is_nearly_fraud_is_refused(shop, spelling):
    """Taken as it stands it would be legitimate, and nobody would know."""
    said = refused(with_cells(shop, "fraudulent", {7: spelling}))
    assert "fraudulent must be written as the schema has it, Y: 1 row is not (row 7)" in said


def test_numbers_that_stand_for_missing_do_so_in_parquet_too(tmp_path):
    """A number has no spelling there: its value counts."""
    own = parse(
        'name = "m"\nmissing_values = ["", "-999"]\n'
        '[columns.x]\nkind = "number"\nmissing = true\n[columns.y]\nkind = "number"',
        "m.toml",
    )
    frame = pd.DataFrame({"x": [1.0, -999.0, 2.0], "y": [1, 2, 3]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        read = table.read_table(tmp_path / name, own)
        np.testing.assert_array_equal(table.check(read, own, labelled=False)["x"], [1, np.nan, 2])


def test_a_label_is_the_same_as_number_and_as_text(tmp_path):
    """1.0, as files with gaps have it, is 1."""
    own = parse('name = "l"\n[roles]\nlabel = "y"\nfraud = ["1"]\n[columns.x]\nkind = "number"', "l.toml")
    (tmp_path / "t.csv").write_text("x,y\n1,1.0\n2,0.0\n3,1\n")
    assert table.check(table.read_table(tmp_path / "t.csv", own), own, labelled=True)["y"].tolist() == [1, 0, 1]
