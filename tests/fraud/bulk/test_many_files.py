"""Many files: one output each, what is done is left alone, what failed is named. A cluster is in tests/e2e."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from fraud import __main__ as program
from fraud import command
from fraud.bulk.many_files import score_files
from fraud.bulk.one_file import score_file
from fraud.errors import DataError, FraudError
from fraud.features import of_default
from fraud.manifest import Manifest
from fraud.remote.sources import find
from fraud.saving import entry


@pytest.fixture
def tag(saved):
    return f"fraud_detector:{saved.model_version}"


@pytest.fixture
def folder(frame, tmp_path):
    """Three good files, one bad, and things that are no tables."""
    made = tmp_path / "in"
    made.mkdir()
    frame[:50].to_parquet(made / "a.parquet")
    frame[50:90].to_csv(made / "b.csv", index=False)
    frame[90:100].to_csv(made / "c.csv.gz", index=False)
    frame[:5].assign(V1=2e6).to_csv(made / "d.csv", index=False)
    (made / "notes.txt").write_text("no table")
    (made / ".hidden.csv").write_text("no table")
    return made


def outputs(target):
    return sorted(path.name for path in target.iterdir())


def run(folder, target, tag, **more):
    return score_files(find([str(folder)]), target, tag, score_file, **more)


def test_each_input_has_an_output_of_its_name(folder, tmp_path, tag):
    """The others are scored though one is bad; that one is named with its fault, and nothing is left of it."""
    answer = run(folder, tmp_path / "out", tag)
    assert outputs(tmp_path / "out") == ["a.parquet", "b.csv", "c.csv"]
    assert (answer["files"], answer["skipped"], answer["rows"]) == (3, 0, 100)
    [failed] = answer["failed"]
    assert failed["input"] == str(folder / "d.csv")
    assert failed["error"].startswith("V1 must be from -1e+06 to 1e+06: 5 rows are not")
    assert len(pd.read_csv(tmp_path / "out" / "b.csv")) == 40


def test_finished_outputs_are_left_alone(folder, tmp_path, tag):
    """A second run scores what is missing, what failed, and what changed since."""
    target = tmp_path / "out"
    run(folder, target, tag)
    (target / "b.csv").unlink()
    before = (target / "a.parquet").stat().st_ino
    later = (target / "c.csv").stat().st_mtime_ns + 10**9
    os.utime(folder / "c.csv.gz", ns=(later, later))
    told = []
    answer = run(folder, target, tag, observer=told.append)
    assert (answer["files"], answer["skipped"], len(answer["failed"])) == (2, 1, 1)
    assert [os.path.basename(one.input) for one in told] == ["b.csv", "c.csv.gz", "d.csv"]  # noqa: PTH119
    assert (target / "a.parquet").stat().st_ino == before


def test_outputs_of_another_model_are_made_anew(folder, tmp_path, tag, model, scorer, probes, facts):
    """They hold other scores."""
    run(folder, tmp_path / "out", tag)
    other = entry.save(
        model, scorer, of_default(), probes, lambda v, files: Manifest(model_version=v, files=files, **facts), {}
    )
    assert run(folder, tmp_path / "out", f"fraud_detector:{other.model_version}")["files"] == 3
    assert set(pd.read_csv(tmp_path / "out" / "b.csv")["model_version"]) == {other.model_version}


@pytest.mark.parametrize("content", [b"", b"former", b"PAR1"], ids=repr)
def test_what_is_no_output_of_ours_is_replaced(folder, tmp_path, tag, content):
    """A newer file of the same name is not taken for scores."""
    (tmp_path / "out").mkdir()
    for name in ("a.parquet", "b.csv"):
        (tmp_path / "out" / name).write_bytes(content)
    assert run(folder, tmp_path / "out", tag)["files"] == 3


def test_files_are_found_by_folder_name_and_pattern(folder):
    """Each once, in order; a folder gives its tables only."""
    names = ["a.parquet", "b.csv", "c.csv.gz", "d.csv"]
    assert [source.file_name for source in find([str(folder)])] == names
    assert [source.file_name for source in find([f"{folder}/*.csv", f"{folder}/b.csv"])] == ["b.csv", "d.csv"]
    with pytest.raises(DataError, match="no CSV or Parquet file there"):
        find([str(folder), f"{folder}/*.nothing"])


def test_names_that_meet_are_refused(folder, tmp_path, tag):
    """Two inputs never write one output."""
    (folder / "b.csv.gz").write_bytes((folder / "c.csv.gz").read_bytes())
    with pytest.raises(DataError, match="two inputs would be written to"):
        run(folder, tmp_path / "out", tag)


@pytest.mark.parametrize(
    ("target", "words"),
    [("in", "is the input itself"), ("in/b.csv", "several inputs need a folder"), ("no/where", "no such folder")],
)
def test_a_target_that_will_not_do_is_refused(folder, tmp_path, tag, target, words):
    """Before anything is scored."""
    before = outputs(folder)
    with pytest.raises(DataError, match=words):
        run(folder, tmp_path / target, tag)
    assert outputs(folder) == before


def test_a_scheduler_address_of_another_form_is_refused(folder, tmp_path, tag):
    """At once."""
    with pytest.raises(FraudError, match="expected --scheduler tcp://host:port"):
        run(folder, tmp_path / "out", tag, scheduler="localhost")


def test_the_command_says_each_file_and_fails_at_the_end(folder, tmp_path, tag, monkeypatch, capsys):
    """Exit code 1 when a file failed, with the document on stdout and a line a file on stderr; 0 when none did."""
    call = ["fraud", "score", str(folder), str(tmp_path / "out"), "--model", tag, "--jobs", "1"]
    monkeypatch.setattr("sys.argv", call)
    assert program.main() == command.EXIT_ERROR
    said = capsys.readouterr()
    assert json.loads(said.out)["files"] == 3
    assert [line.partition(": ")[2][:12] for line in said.err.splitlines()] == [
        "50 rows",
        "40 rows",
        "10 rows",
        "error: V1 mu",
    ]
    (folder / "d.csv").unlink()
    assert program.main() == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 3


def test_a_file_that_is_not_there_is_named_and_does_not_stop_the_others(folder, tmp_path, tag, monkeypatch, capsys):
    """Once, and also where an output of its name is left from another time."""
    gone = folder / "b.csv"
    words = ["fraud", "score", str(folder / "a.parquet"), str(gone), str(tmp_path / "out"), "--model", tag]
    monkeypatch.setattr("sys.argv", words)
    assert program.main() == 0
    gone.unlink()
    capsys.readouterr()
    assert program.main() == command.EXIT_ERROR
    said = capsys.readouterr()
    assert json.loads(said.out)["skipped"] == 1
    assert said.err == f"{gone}: error: no such file; expected a CSV or Parquet table\n"


def test_a_folder_that_cannot_be_made_is_a_stated_error(folder, tag):
    """Nothing may be made in /proc."""
    with pytest.raises(DataError, match=r"^/proc/fraud: cannot be written \(No such file or directory\)$"):
        run(folder, Path("/proc/fraud"), tag)
