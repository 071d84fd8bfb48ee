"""Whatever stands in a file: its draft is a schema, and the file keeps it."""

import csv

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud import schema
from fraud.errors import DataError
from training.schemas import draft
from training.schemas.check import check

CELLS = (
    *("", " ", "0", "1", "7", "-1", "0012", "1.5", "-2e3", "1e400", "20240131", "1700000000"),
    *("NA", "?", "none", "nan", "inf", "-", "yes", "no", "Y", "N", "TRUE", "false", "T", "f"),
    *("2024-01-02", "2024-01-02 03:04:05", "2024-01-02T03:04:05Z", "2024-13-45", "01/02/2024"),
    *("31/12/2024", "1.2.2024", "€ 5", "$1,200.50", "12,50", "x" * 300),
    *("a", "A", "ä", "a b c d", 'say "x"', "it's", "#", "# LOOK", "\t", "[x]", "\\",),
    *("\u2028", "\x7f", "\x01", "\ufeff", "日本"),
)  # fmt: skip
NAMES = (
    "id",
    "order_id",
    "amount",
    "time",
    "card_id",
    "zip",
    "age",
    "note",
    "index",
    "Number Of",
    "é",
    "a.b",
    'a"b',
    "x",
)


@st.composite
def tables(draw):
    """A few columns, each of a few of the cells; mostly repeated, so that columns have a kind."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(1, 60))
    pools = [draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4)) for _ in names]
    cells = [draw(st.lists(st.sampled_from(pool), min_size=rows, max_size=rows)) for pool in pools]
    labels = draw(st.lists(st.sampled_from(draw(st.sampled_from(("01", "YN", "012")))), min_size=rows, max_size=rows))
    return [[*names, "is_fraud"], *map(list, zip(*cells, labels, strict=True))]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_a_draft_is_a_schema_that_its_file_keeps(tmp_path, table):
    """Or there is one line that says why there is none."""
    path = tmp_path / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows(table)
    try:
        made = draft.infer([path])
    except DataError as error:
        assert "no column can be an input of a model" in str(error)
        return
    read = schema.parse(made.text, "draft")
    assert set(read.columns) | {read.roles.id, read.roles.label} >= set(table[0])
    for problem in check([path], read)["files"][0]["problems"]:
        assert " must be not empty" in problem or "characters" in problem, (problem, made.text)
