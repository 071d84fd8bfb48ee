"""All that is wrong with files by a schema, at once."""

import pandas as pd
import pytest

from fraud import schema
from training.schemas import reading
from training.schemas.check import check

DECLARED = schema.parse(
    """
name = "small"
[roles]
label = "is_fraud"
id = "id"
amount = "amount"
[columns.amount]
kind = "number"
minimum = 0
[columns.channel]
kind = "category"
[columns.score]
kind = "number"
missing = true
""",
    "small",
)


@pytest.fixture
def file(tmp_path):
    def write(**columns):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        pd.DataFrame(
            {"id": ["a", "b", "c"], "amount": [1, 2, 3], "channel": "web", "is_fraud": [0, 1, 0]} | columns
        ).to_csv(path, index=False)
        return path

    return write


def test_a_file_that_keeps_the_schema(file):
    """Rows and frauds are counted; a column that may be absent is named."""
    found = check([file(), file()], DECLARED)
    assert (found["passed"], found["rows"], found["frauds"]) == (True, 6, 2)
    assert found["unseen_columns"] == ["score"]
    assert found["files"][0]["found"] == "CSV, commas, UTF-8"


def test_everything_that_is_wrong_is_said_at_once(file):
    """Columns and rows, of each file."""
    found = check([file(), file(amount=[1, -2, "x"], surplus=1, is_fraud=[0, 1, 7])], DECLARED)
    assert not found["passed"]
    assert found["files"][0]["problems"] == []
    problems = " | ".join(found["files"][1]["problems"])
    for words in ("unknown columns: 'surplus'", "amount must be a number", "from 0 to", "is_fraud must be 0 or 1"):
        assert words in problems


def test_rows_are_counted_over_chunks(file, monkeypatch):
    """The row named is that of the file, and all are counted."""
    monkeypatch.setattr(reading, "CHUNK_ROWS", 2)
    found = check([file(amount=[-1, 2, -3])], DECLARED)
    [problem] = found["files"][0]["problems"]
    assert problem.endswith("2 rows are not (rows 0, 2)")


def test_a_file_without_the_label_has_no_frauds(tmp_path):
    """It can be scored; nothing is counted."""
    path = tmp_path / "new.csv"
    pd.DataFrame({"amount": [1, 2], "channel": "web"}).to_csv(path, index=False)
    found = check([path], DECLARED)
    assert (found["passed"], found["frauds"]) == (True, None)
    assert found["unseen_columns"] == ["score", "is_fraud", "id"]


def test_what_is_no_table_is_a_problem_of_its_file(tmp_path, file):
    """The others are still checked."""
    (tmp_path / "page.csv").write_text("<html><body>no</body></html>")
    found = check([tmp_path / "page.csv", tmp_path / "gone.csv", file()], DECLARED)
    assert (found["passed"], found["rows"]) == (False, 3)
    assert "gone.csv: no such file" in found["files"][1]["problems"][0]
    assert found["files"][0]["problems"]
