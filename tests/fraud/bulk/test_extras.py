"""Columns that the model does not know: carried over, dropped, or refused with the two ways out."""

import numpy as np
import pandas as pd
import pytest

from fraud.bulk import one_file
from fraud.bulk.many_files import score_files
from fraud.bulk.one_file import score_file
from fraud.errors import DataError
from fraud.remote.sources import find
from fraud.tables.extras import Extras


@pytest.fixture
def tag(saved):
    return f"fraud_detector:{saved.model_version}"


@pytest.fixture
def given(frame):
    """Rows with ids and three columns of one's own."""
    texts = ["007", "1,5", "", "1.5", "a;b", 'q"q', "é", "NA", "x\ny", "0,5"] * 5
    return frame[:50].assign(
        transaction_id=[f"t-{number}" for number in range(50)],
        merchant=texts,
        when=pd.date_range("2026-01-01", periods=50, tz="UTC"),
        count=pd.array([1, None] * 25, dtype="Int64"),
    )


@pytest.fixture(params=["csv", "european.csv", "parquet"])
def source(request, given, tmp_path):
    path = tmp_path / request.param
    path = path.with_name(f"in-{request.param}" if "." in request.param else f"in.{request.param}")
    if path.suffix == ".parquet":
        given.to_parquet(path)
    elif "european" in path.name:
        given.to_csv(path, index=False, sep=";", decimal=",")
    else:
        given.to_csv(path, index=False)
    return path


def test_what_is_kept_stands_beside_the_scores(source, given, tmp_path, tag):
    """Text as it is written, in the order of the file; the scores are those without it."""
    score_file(source, tmp_path / "plain.csv", tag, extras=Extras(drop=("all",)))
    answer = score_file(
        source, tmp_path / "out.csv", tag, extras=Extras(keep=("Amount", "merchant"), drop=("when", "count"))
    )
    assert answer["rows"] == 50
    out = pd.read_csv(tmp_path / "out.csv", dtype={"merchant": str}, keep_default_na=False)
    names = ["transaction_id", "merchant", "Amount", "fraud_probability", "is_fraud", "model_version"]
    assert sorted(out.columns) == sorted(names)
    assert out["merchant"].tolist() == given["merchant"].tolist()
    np.testing.assert_allclose(out["Amount"], given["Amount"], rtol=1e-12)
    plain = pd.read_csv(tmp_path / "plain.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(out[plain.columns.tolist()], plain, check_exact=True)


def test_all_is_what_the_model_does_not_know(source, given, tmp_path, tag):
    """Types of Parquet stay what they are; all but those that are dropped."""
    score_file(source, tmp_path / "out.parquet", tag, extras=Extras(keep=("all",), drop=("merchant",)))
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert out.columns.tolist() == ["transaction_id", "when", "count", "fraud_probability", "is_fraud", "model_version"]
    if source.suffix == ".parquet":
        assert out["when"].tolist() == given["when"].tolist()
    else:
        assert out["count"].tolist() == ["1", ""] * 25


def test_without_a_word_they_are_refused(source, tmp_path, tag):
    """The message names both options, and nothing is left behind."""
    with pytest.raises(DataError) as caught:
        score_file(source, tmp_path / "out.csv", tag, extras=Extras(keep=("when",)))
    assert (
        "unknown columns: 'merchant', 'count'; carry them over with --keep NAME, or leave them out with --drop"
        in str(caught.value)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name]


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        (Extras(keep=("merchnat",)), "has no column 'merchnat' to keep"),
        (
            Extras(keep=("transaction_id",)),
            "transaction_id cannot be kept: the output has a column of that name; rename",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(source, tmp_path, tag, extras, words):
    """A name that is not there, and one that the output has already."""
    with pytest.raises(DataError, match=words):
        score_file(source, tmp_path / "out.csv", tag, extras=extras)


def test_a_stopped_run_goes_on_with_the_same_columns_only(source, tmp_path, tag, monkeypatch):
    """Pieces without a column that is kept now are of no use."""
    monkeypatch.setattr(one_file, "CHUNK_ROWS", 10)
    (tmp_path / "done").mkdir()

    def stop(_share, rows):
        if rows >= 20:
            raise KeyboardInterrupt

    keep = Extras(keep=("merchant",), drop=("all",))
    score_file(source, tmp_path / "done" / "out.csv", tag, extras=keep)
    for first, resumed in ((keep, 20), (Extras(drop=("all",)), None)):
        with pytest.raises(KeyboardInterrupt):
            score_file(source, tmp_path / "out.csv", tag, observer=stop, extras=first)
        answer = score_file(source, tmp_path / "out.csv", tag, extras=keep)
        assert answer.get("resumed_at_row") == resumed
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "done" / "out.csv").read_bytes()


def test_finished_outputs_without_a_kept_column_are_made_anew(source, tmp_path, tag):
    """And left alone when they have it."""

    def run(extras):
        def score(path, target, tag):
            return score_file(path, target, tag, extras=extras)

        answer = score_files(find([str(source)]), tmp_path / "out", tag, score, extras=extras)
        assert not answer["failed"]
        return answer["files"], answer["skipped"]

    assert run(Extras(drop=("all",))) == (1, 0)
    assert run(Extras(keep=("all",))) == (1, 0)
    assert run(Extras(keep=("all",))) == (0, 1)
    assert run(Extras(drop=("all",))) == (0, 1)
