"""Scoring a file: table in, table out, the rows in their order, and never half a file."""

import weakref

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from fraud.bulk import one_file as scoring
from fraud.bulk import pieces
from fraud.bulk.one_file import score_file
from fraud.bulk.pieces import Pieces
from fraud.errors import DataError, ModelError
from fraud.features import of_default, transform
from fraud.manifest import Manifest
from fraud.saving import entry
from fraud.tables import chunks
from tests.ulb import COLUMNS, ID_COLUMN, LABEL

WRITTEN = ["fraud_probability", "is_fraud", "model_version"]


@pytest.fixture
def tag(saved):
    return f"fraud_detector:{saved.model_version}"


@pytest.fixture(scope="module")
def given(frame):
    """200 rows in no order of anything, with labels and ids that are not sorted."""
    shuffled = frame.sample(200, random_state=1)
    return shuffled.assign(**{ID_COLUMN: [f"t-{number * 37 % 200}" for number in range(200)]})


def write(frame, path):
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.fixture(params=[".csv", ".parquet"])
def source(request, given, tmp_path):
    """The rows in a file of each kind."""
    return write(given, tmp_path / f"in{request.param}")


@pytest.fixture(params=[".csv", ".parquet"])
def target(request, tmp_path):
    """Where the scores go, of each kind."""
    return tmp_path / f"out{request.param}"


def reference(model, frame):
    return model.predict_proba(transform(frame[list(COLUMNS)].to_numpy()))[:, 1]


def test_scores_equal_scikit_learn_in_the_order_of_the_rows(source, target, tag, model, given):
    """Each row has its own score, in every bit, beside its own id; CSV in or out changes nothing."""
    score_file(source, target, tag)
    result = read(target)
    assert list(result.columns) == [ID_COLUMN, *WRITTEN]
    assert result[ID_COLUMN].tolist() == given[ID_COLUMN].tolist()
    assert result["fraud_probability"].to_numpy().tobytes() == reference(model, given).tobytes()


def test_decisions_are_those_of_the_threshold(source, target, tag, saved):
    """A row is called fraud when its score is at the threshold or above it, and the version is told."""
    score_file(source, target, tag)
    result = read(target)
    assert result["is_fraud"].dtype == bool
    assert (result["is_fraud"] == (result["fraud_probability"] >= saved.threshold)).all()
    assert (result["fraud_probability"] == saved.threshold).any()
    assert set(result["model_version"]) == {saved.model_version}


def test_the_summary_counts_what_was_written(source, target, tag, saved):
    """Rows and flagged rows of the summary are those of the file."""
    summary = score_file(source, target, tag)
    result = read(target)
    assert summary == {
        "output": str(target),
        "read_as": "CSV, commas, decimal points, UTF-8" if source.suffix == ".csv" else "Parquet",
        "rows": 200,
        "flagged": int(result["is_fraud"].sum()),
        "model_version": saved.model_version,
        "threshold": saved.threshold,
    }
    assert 0 < summary["flagged"] < 200


@pytest.mark.parametrize("dropped", [[LABEL], [ID_COLUMN], [LABEL, ID_COLUMN]], ids=str)
def test_label_and_id_are_optional(given, tmp_path, tag, model, dropped):
    """Without labels or ids the scores are the same, and there is an id column only when ids were given."""
    source = write(given.drop(columns=dropped), tmp_path / "in.csv")
    score_file(source, tmp_path / "out.csv", tag)
    result = read(tmp_path / "out.csv")
    assert result["fraud_probability"].tolist() == reference(model, given).tolist()
    assert (ID_COLUMN in result) == (ID_COLUMN not in dropped)


@pytest.mark.parametrize("labels", [9, -1, np.nan, "unknown"], ids=repr)
def test_a_label_is_ignored_whatever_it_holds(given, tmp_path, tag, model, labels):
    """The Class column is neither used nor checked nor written."""
    source = write(given.assign(**{LABEL: labels}), tmp_path / "in.csv")
    score_file(source, tmp_path / "out.csv", tag)
    result = read(tmp_path / "out.csv")
    assert LABEL not in result
    assert result["fraud_probability"].tolist() == reference(model, given).tolist()


def test_the_order_of_columns_does_not_matter(given, tmp_path, tag, model):
    """Columns are found by name."""
    source = write(given[sorted(given.columns, reverse=True)], tmp_path / "in.parquet")
    score_file(source, tmp_path / "out.csv", tag)
    assert read(tmp_path / "out.csv")["fraud_probability"].tolist() == reference(model, given).tolist()


@pytest.mark.parametrize("size", [64, 65_536], ids=["chunks", "one chunk"])
def test_a_comma_at_the_end_of_each_row_changes_no_score(given, tmp_path, tag, model, size, monkeypatch):
    """No column moves."""
    monkeypatch.setattr(scoring, "CHUNK_ROWS", size)
    header, *lines = given.to_csv(index=False).splitlines()
    (tmp_path / "in.csv").write_text("\n".join([header, *(f"{line}," for line in lines)]))
    score_file(tmp_path / "in.csv", tmp_path / "out.csv", tag)
    result = read(tmp_path / "out.csv")
    assert result["fraud_probability"].tolist() == reference(model, given).tolist()
    assert result[ID_COLUMN].tolist() == given[ID_COLUMN].tolist()


def test_a_row_that_lost_a_field_is_not_scored(given, tmp_path, tag):
    """Its last column, which scoring ignores, would else hide that the others moved."""
    lines = given.drop(columns=ID_COLUMN).to_csv(index=False).splitlines()
    lines[100] = lines[100].split(",", 1)[1]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"expected 31 fields in each row, got 30 \(row 99\)"):
        score_file(tmp_path / "in.csv", tmp_path / "out.csv", tag)
    assert listed(tmp_path) == ["in.csv"]


def test_ids_stay_as_they_are_written(given, tmp_path, tag):
    """An id of digits with leading zeros is text, not a number."""
    source = write(given[:2].assign(**{ID_COLUMN: ["007", "1e5"]}), tmp_path / "in.csv")
    score_file(source, tmp_path / "out.csv", tag)
    assert pd.read_csv(tmp_path / "out.csv", dtype=str)[ID_COLUMN].tolist() == ["007", "1e5"]


@pytest.mark.parametrize("name", ["out", "out.txt", "out.json", "out.csv.gz", "out.CSV", ".csv"])
def test_another_suffix_is_refused(source, tmp_path, tag, name):
    """What would be written as is not said is refused before anything is read, and nothing is written."""
    with pytest.raises(DataError, match=r"expected a name that ends in \.csv or \.parquet"):
        score_file(tmp_path / "no-such-input.csv", tmp_path / name, tag)
    assert not (tmp_path / name).exists()


def test_a_missing_folder_is_refused(source, tmp_path, tag):
    """The folder of the output must be there; it is not made."""
    with pytest.raises(DataError, match=r"nowhere: no such folder; make it first"):
        score_file(source, tmp_path / "nowhere" / "out.csv", tag)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("link", [False, True], ids=["same name", "link"])
def test_the_input_is_not_overwritten(source, tmp_path, tag, link):
    """Under its own name or another, the rows given stay."""
    before, target = source.read_bytes(), source
    if link:
        target = tmp_path / "link.csv"
        target.symlink_to(source)
    with pytest.raises(DataError, match="is the input itself; choose another name"):
        score_file(source, target, tag)
    assert source.read_bytes() == before


def test_a_missing_input_is_refused(tmp_path, saved, tag):
    """The input is named."""
    with pytest.raises(DataError, match=r"in\.csv: no such file"):
        score_file(tmp_path / "in.csv", tmp_path / "out.csv", tag)


def test_a_missing_model_is_refused(source, target):
    """Nothing is written without a model."""
    with pytest.raises(ModelError, match="the model store has no"):
        score_file(source, target, "fraud_detector:nowhere")
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="V7"), "missing columns: V7"),
        (lambda frame: frame.assign(V7=np.nan), "V7 must be"),
        (lambda frame: frame.assign(Amount=-1.0), "Amount must be from 0"),
        (lambda frame: frame.assign(extra=1), "unknown columns: 'extra'"),
        (lambda frame: frame[:0], "no rows"),
    ],
    ids=["missing column", "NaN", "negative amount", "unknown column", "no rows"],
)
def test_bad_rows_are_refused_and_an_old_output_stays(given, target, tmp_path, tag, change, words):
    """The table is held to the schema, and a former output survives the refusal."""
    target.write_bytes(b"former")
    with pytest.raises(DataError, match=words):
        score_file(write(change(given), tmp_path / "in.parquet"), target, tag)
    assert target.read_bytes() == b"former"


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("former", [None, b"former"], ids=["new", "existing"])
@pytest.mark.parametrize("moment", ["a piece", "writing", "replacing"])
def test_a_failing_write_leaves_no_half_file(source, target, tag, monkeypatch, former, moment):
    """When the disk is full, the error is one line, no part is left, and a former output is as it was."""
    if former is not None:
        target.write_bytes(former)
    before = listed(target.parent)

    def fail(tables, path):
        path.write_bytes(b"half")
        no_space()

    def no_space(*_):
        raise OSError(28, "No space left on device")

    if moment == "a piece":
        monkeypatch.setattr(Pieces, "add", no_space)
    elif moment == "writing":
        monkeypatch.setattr(scoring, "_write_csv", fail)
        monkeypatch.setattr(scoring, "_write_parquet", fail)
    else:
        monkeypatch.setattr(scoring.Path, "replace", no_space)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        score_file(source, target, tag)
    assert listed(target.parent) == before
    assert former is None or target.read_bytes() == former


def test_an_interrupted_write_leaves_no_half_file(source, target, tag, monkeypatch):
    """Ctrl-C while joining leaves the finished pieces in one hidden folder, for the next run, and nothing else."""
    before = listed(target.parent)

    def interrupt(tables, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_write_csv", interrupt)
        patch.setattr(scoring, "_write_parquet", interrupt)
        with pytest.raises(KeyboardInterrupt):
            score_file(source, target, tag)
    assert listed(target.parent) == sorted([*before, f".{target.name}.part.d"])
    assert score_file(source, target, tag)["resumed_at_row"] == 200
    assert listed(target.parent) == sorted([*before, target.name])


def test_a_folder_in_the_way_is_refused(source, target, tag):
    """A target that is a folder is a stated error."""
    target.mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        score_file(source, target, tag)
    assert target.is_dir()


def test_an_existing_output_is_replaced(source, target, tag):
    """A second run writes the same file anew, and leaves nothing else behind."""
    score_file(source, target, tag)
    first = target.read_bytes()
    target.write_bytes(b"former")
    score_file(source, target, tag)
    assert target.read_bytes() == first
    assert listed(target.parent) == sorted({source.name, target.name})


def test_the_part_is_on_the_same_disk(source, target, tag, monkeypatch):
    """The part lies in the hidden folder beside the output, so that replacing is one step and no part outlives it."""
    seen = []
    monkeypatch.setattr(scoring.Path, "replace", lambda part, final: seen.append((part, final)))
    score_file(source, target, tag)
    [(part, final)] = seen
    assert final == target
    assert part.parent == target.with_name(f".{target.name}.part.d")
    assert listed(target.parent) == [source.name]


def test_a_half_joined_output_is_written_anew(source, target, tag, small, monkeypatch):
    """What a run that was killed while joining had written is not appended to."""
    score_file(source, target, tag)
    expected = target.read_bytes()
    stop_after(4, source, target, tag)
    (target.with_name(f".{target.name}.part.d") / "joined").write_bytes(b"half")
    score_file(source, target, tag)
    assert target.read_bytes() == expected


@pytest.fixture
def small(monkeypatch):
    """Chunks of 64 rows: 200 rows are four pieces."""
    monkeypatch.setattr(scoring, "CHUNK_ROWS", 64)


@pytest.fixture
def scored(monkeypatch):
    """Numbers of rows that the forest was asked for, call by call; opening the model asks for its probes first."""
    calls, real = [], scoring._scored

    def counting(chunk, *more):
        calls.append(len(chunk.rows))
        return real(chunk, *more)

    monkeypatch.setattr(scoring, "_scored", counting)
    return calls


class Stopped:
    """Told of progress, interrupts after ``pieces`` pieces."""

    def __init__(self, pieces, how=KeyboardInterrupt):
        self.left, self.how = pieces, how

    def __call__(self, *_):
        self.left -= 1
        if not self.left:
            raise self.how


def stop_after(pieces, source, target, tag, how=KeyboardInterrupt):
    with pytest.raises(how):
        score_file(source, target, tag, observer=Stopped(pieces, how))


def test_chunks_change_nothing(source, target, tag, small, scored, model, given):
    """In four pieces, the output has the same rows, scores and columns as in one."""
    score_file(source, target, tag)
    result = read(target)
    assert scored == [64, 64, 64, 8]
    assert list(result.columns) == [ID_COLUMN, *WRITTEN]
    assert result[ID_COLUMN].tolist() == given[ID_COLUMN].tolist()
    assert result["fraud_probability"].to_numpy().tobytes() == reference(model, given).tobytes()


def test_threads_change_nothing(source, target, tag, model, given):
    """Scores are exact however many threads share the rows."""
    score_file(source, target, tag, threads=3)
    assert read(target)["fraud_probability"].to_numpy().tobytes() == reference(model, given).tobytes()


def test_a_bad_row_in_a_later_chunk_leaves_nothing_behind(given, target, tmp_path, tag, small):
    """It is named by its number in the file, and neither output nor pieces stay."""
    source = write(given.reset_index(drop=True).assign(V7=[*[0.0] * 150, np.inf, *[0.0] * 49]), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"V7 must be finite: 1 row is not \(row 150\)"):
        score_file(source, target, tag)
    assert listed(tmp_path) == ["in.parquet"]


@pytest.mark.parametrize("how", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_goes_on_where_it_stopped(source, target, tag, small, scored, how):
    """The next run scores only the rest, and writes the very bytes of a run in one go; its folder is gone."""
    score_file(source, target, tag)
    expected = target.read_bytes()
    target.unlink()
    scored.clear()
    stop_after(2, source, target, tag, how)
    assert not target.exists()
    assert scored == [64, 64]
    assert score_file(source, target, tag)["resumed_at_row"] == 128
    assert scored == [64, 64, 64, 8]
    assert target.read_bytes() == expected
    assert listed(target.parent) == sorted([source.name, target.name])


def test_a_changed_input_starts_anew(source, target, tag, small, scored, given, model):
    """Pieces of other rows are not mixed in, whatever the size of the file."""
    stop_after(2, source, target, tag)
    changed = given.iloc[::-1]
    write(changed, source)
    assert "resumed_at_row" not in score_file(source, target, tag)
    assert scored == [64, 64, 64, 64, 64, 8]
    assert read(target)["fraud_probability"].tolist() == reference(model, changed).tolist()


def test_another_model_starts_anew(source, target, tag, small, scored, model, scorer, probes, facts):
    """Pieces of another model's scores are not mixed in."""
    stop_after(2, source, target, tag)
    other = entry.save(
        model, scorer, of_default(), probes, lambda v, files: Manifest(model_version=v, files=files, **facts), {}
    )
    assert "resumed_at_row" not in score_file(source, target, f"fraud_detector:{other.model_version}")
    assert scored == [64, 64, 64, 64, 64, 8]
    assert set(read(target)["model_version"]) == {other.model_version}


def test_a_damaged_piece_is_scored_again(source, target, tag, small, scored):
    """After a power cut a piece may be empty: from it on everything is made again."""
    stop_after(3, source, target, tag)
    (target.parent / f".{target.name}.part.d" / "000001.parquet").write_bytes(b"")
    assert score_file(source, target, tag)["resumed_at_row"] == 64
    assert scored == [64, 64, 64, 64, 64, 8]


def of(target):
    """The folder of its pieces."""
    return target.with_name(f".{target.name}.part.d")


def swapped(folder):
    (folder / "000001.parquet").rename(folder / "x")
    (folder / "000002.parquet").rename(folder / "000001.parquet")
    (folder / "x").rename(folder / "000002.parquet")


def cell_changed(folder):
    """One bit of the data pages, not of the footer."""
    content = bytearray((folder / "000001.parquet").read_bytes())
    content[60] ^= 1
    (folder / "000001.parquet").write_bytes(content)


def rewritten(change):
    def do(folder):
        path = folder / "000001.parquet"
        piece = pq.read_table(path, partitioning=None)
        pq.write_table(change(piece).replace_schema_metadata(piece.schema.metadata), path)

    return do


def with_scores(values):
    return lambda piece: piece.set_column(1, "fraud_probability", pa.array(values(len(piece)), pa.float64()))


@pytest.mark.parametrize(
    "change",
    [
        swapped,
        cell_changed,
        rewritten(lambda piece: piece.drop_columns(["is_fraud"])),
        rewritten(lambda piece: piece.drop_columns([ID_COLUMN])),
        rewritten(lambda piece: piece.append_column("V1", piece["fraud_probability"])),
        rewritten(lambda piece: piece.slice(0, 0)),
        rewritten(lambda piece: pa.concat_tables([piece, piece])),
        rewritten(with_scores(lambda count: [2.0] * count)),
        rewritten(with_scores(lambda count: [None] * count)),
        rewritten(lambda piece: piece.set_column(2, "is_fraud", pa.compute.invert(piece["is_fraud"]))),
    ],
    ids=["swapped", "bit", "column gone", "ids gone", "column more", "no rows", "twice", "range", "null", "decision"],
)
@pytest.mark.parametrize(("source", "target"), [(".csv", ".csv")], indirect=True)  # pieces are Parquet for all kinds
def test_a_piece_that_does_not_fit_is_not_used(source, target, tag, small, change):
    """It is made again with all that follow; the output is that of a run in one go."""
    score_file(source, target, tag)
    expected = target.read_bytes()
    stop_after(3, source, target, tag)
    change(of(target))
    assert score_file(source, target, tag)["resumed_at_row"] == 64
    assert target.read_bytes() == expected


def test_a_piece_of_another_output_is_not_used(source, given, tmp_path, tag, small):
    """Though it has its columns and rows: a piece says what it was made from."""
    other, target = tmp_path / f"other{source.suffix}", tmp_path / "out.csv"
    write(given.iloc[::-1], other)
    score_file(source, target, tag)
    expected = target.read_bytes()
    stop_after(3, source, target, tag)
    stop_after(3, other, tmp_path / "another.csv", tag)
    (of(tmp_path / "another.csv") / "000001.parquet").replace(of(target) / "000001.parquet")
    assert score_file(source, target, tag)["resumed_at_row"] == 64
    assert target.read_bytes() == expected


def test_a_link_in_place_of_the_folder_is_refused(source, target, tag, tmp_path):
    """What it leads to is left alone, and so is the link."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("rows")
    of(target).symlink_to(victim)
    with pytest.raises(DataError, match=r"part\.d: is not what an interrupted run leaves there, but a link"):
        score_file(source, target, tag)
    assert (victim / "precious").read_text() == "rows"
    assert listed(victim) == ["precious"]
    assert of(target).is_symlink()
    assert not target.exists()


@pytest.mark.parametrize("name", ["lock", "state.json", "state.part", "joined", "000000.parquet", "000000.part"])
def test_a_link_in_the_folder_is_refused(source, target, tag, tmp_path, name):
    """Nothing is written through it."""
    (tmp_path / "precious").write_text("rows")
    of(target).mkdir()
    (of(target) / name).symlink_to(tmp_path / "precious")
    with pytest.raises(DataError, match=r"a link or the like|symbolic link"):
        score_file(source, target, tag)
    assert (tmp_path / "precious").read_text() == "rows"


def test_a_folder_of_another_owner_is_refused(source, target, tag, monkeypatch, small):
    """What lies in it is not taken for our pieces, and stays."""
    stop_after(2, source, target, tag)
    before = listed(of(target))
    real = pieces._owner_here
    monkeypatch.setattr(pieces, "_owner_here", lambda folder: real(folder) + 1)
    with pytest.raises(DataError, match=r"part\.d: belongs to another user \(uid \d+\); remove it, or choose another"):
        score_file(source, target, tag)
    assert listed(of(target)) == before


def test_the_folder_is_closed_to_others(source, target, tag, small):
    """Nobody else may put pieces there."""
    stop_after(2, source, target, tag)
    assert of(target).stat().st_mode & 0o777 == 0o700


def test_an_interruption_before_the_first_piece_leaves_nothing(source, target, tag, monkeypatch):
    """There is nothing to go on from."""
    monkeypatch.setattr(Pieces, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        score_file(source, target, tag)
    assert listed(target.parent) == [source.name]


def test_two_runs_on_one_output_are_refused(source, target, tag, small):
    """The second says so, and the first is not disturbed."""

    def again(share, rows):
        with pytest.raises(DataError, match="another process is writing it"):
            score_file(source, target, tag)

    assert score_file(source, target, tag, observer=again)["rows"] == 200


def test_an_input_changed_meanwhile_is_refused(source, target, tag, small, given):
    """Rows of two files in one output would be wrong."""

    def change(share, rows):
        if rows == 200:
            write(given[:100], source)

    with pytest.raises(DataError, match="was changed while it was read"):
        score_file(source, target, tag, observer=change)
    assert listed(target.parent) == [source.name]


def test_progress_grows_to_all(source, target, tag, small):
    """Told after each piece: the share of the input read, up to 1, and the rows that are done."""
    told = []
    score_file(source, target, tag, observer=lambda share, rows: told.append((share, rows)))
    assert [rows for _, rows in told] == [64, 128, 192, 200]
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1][0] == 1


def test_two_chunks_are_in_memory_at_most(given, target, tmp_path, tag, monkeypatch):
    """Reading is one chunk ahead of scoring, never more, however long the file is."""
    source, seen, alive = write(pd.concat([given] * 20), tmp_path / "in.parquet"), [], weakref.WeakSet()
    real = chunks.Chunk.__init__

    def counting(self, *given):
        real(self, *given)
        alive.add(self)
        seen.append(len(alive))

    monkeypatch.setattr(scoring, "CHUNK_ROWS", 64)
    monkeypatch.setattr(chunks.Chunk, "__init__", counting)
    monkeypatch.setattr(chunks.Chunk, "__hash__", object.__hash__)
    monkeypatch.setattr(chunks.Chunk, "__eq__", object.__eq__)
    assert score_file(source, target, tag)["rows"] == 4000
    assert len(seen) == 63
    assert max(seen) <= 3  # the one scored, the one ready, and the one being made of it
