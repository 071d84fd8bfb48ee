"""What each way to name tables stands for. A real S3 server is in tests/e2e/test_sources.py."""

import hashlib
import json

import pytest

from fraud.errors import DataError, RegistryError
from fraud.remote import s3, sources


def names(*given):
    return [source.name for source in sources.find(given)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Tables, what Spark writes, and what is none; the working directory is above it."""
    made = tmp_path / "in"
    made.mkdir()
    for name in ("b.csv", "a.parquet", "c.csv.bz2", "d.tsv", "e.csv.zip", "part-00000", "part-00001-x.snappy.parquet"):
        (made / name).write_text("Time,V1\n")
    for name in (".hidden.csv", "_SUCCESS", "_metadata.parquet", ".part-00000.crc", "notes.txt", "f.zip"):
        (made / name).write_text("no table")
    (made / "part-00002").touch()
    (made / "deep.csv").mkdir()
    (made / "deep.csv" / "part-00000.csv").write_text("Time,V1\n")
    monkeypatch.chdir(tmp_path)
    return made


def test_a_folder_stands_for_its_tables(folder):
    """In order, parts of Spark with and without a suffix; nothing hidden, no mark of Spark, no part without rows."""
    expected = ["a.parquet", "b.csv", "c.csv.bz2", "d.tsv", "e.csv.zip", "part-00000", "part-00001-x.snappy.parquet"]
    assert names("in") == [f"in/{name}" for name in expected]
    assert names("in/") == names("in")
    assert names("in/deep.csv") == ["in/deep.csv/part-00000.csv"]


def test_patterns_and_files_are_as_they_are_written(folder):
    """Each table once; a file may have a name that looks like a pattern."""
    (folder / "g[1].csv").write_text("Time,V1\n")
    assert names("in/*.csv", "in/b.csv", "in/g[1].csv") == ["in/b.csv", "in/g[1].csv"]
    assert names(str(folder / "**" / "part-00000.csv")) == [str(folder / "deep.csv" / "part-00000.csv")]
    assert names("nowhere.csv") == ["nowhere.csv"]  # who reads it says that it is not there


@pytest.mark.parametrize("source", ["in/*.nothing", "in/deep.csv/empty", "gs://bucket/a.csv", "https://host/a.csv"])
def test_what_stands_for_no_table_is_refused(folder, source):
    """With the words that were given."""
    (folder / "deep.csv" / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no CSV or Parquet file there|is no data source; expected a CSV"):
        names(source)


@pytest.fixture
def bucket(monkeypatch):
    """Objects below s3://bucket/, without a server."""
    content = b"Time,V1\n1,2\n"
    objects = {
        f"s3://bucket/{key}": content
        for key in (
            "t/a.csv",
            "t/b.parquet",
            "t/README.md",
            "t/_SUCCESS",
            "t/.x.csv",
            "t/week",
            "t/deep/part-0",
            "u.csv",
        )
    }
    pushed = json.dumps({"sha256": hashlib.sha256(content).hexdigest()}).encode()
    objects["s3://bucket/t/week.sha256.json"] = pushed

    def download(uri, target, sha256):
        if sha256 not in (None, hashlib.sha256(objects[uri]).hexdigest()):
            raise RegistryError(f"{uri}: damaged")
        target.write_bytes(objects[uri])

    monkeypatch.setattr(s3, "download", download)
    monkeypatch.setattr(s3, "get", lambda uri: (objects[uri], "") if uri in objects else None)
    monkeypatch.setattr(s3, "keys", lambda uri: [key for key in sorted(objects) if key.startswith(uri)])
    return objects


def test_s3_has_objects_folders_and_patterns(bucket):
    """A folder has what lies deeper and what was pushed, whatever its name; a star stands for no slash."""
    below = ["s3://bucket/t/a.csv", "s3://bucket/t/b.parquet", "s3://bucket/t/deep/part-0", "s3://bucket/t/week"]
    assert names("s3://bucket/t/") == below
    assert names("s3://bucket/t/*.csv", "s3://bucket/u.csv") == ["s3://bucket/t/a.csv", "s3://bucket/u.csv"]
    with pytest.raises(DataError, match=r"s3://bucket/\*\.none: there is no CSV or Parquet file there"):
        names("s3://bucket/*.none")


def test_an_object_is_fetched_checked_and_named_by_its_address(bucket):
    """What is said of the file inside says where it came from, and it is gone afterwards."""
    [source] = sources.find(["s3://bucket/t/week"])
    with source.local() as path:
        assert path.read_bytes() == bucket[source.name]
    assert not path.exists()
    with pytest.raises(DataError) as caught, source.local() as path:
        raise DataError(f"{path}: is no table")
    assert str(caught.value) == "s3://bucket/t/week: is no table"
    bucket[source.name] = b"something else"
    with pytest.raises(RegistryError, match="damaged"), source.local():
        pass


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("in", False),
        ("in/b.csv", True),
        ("in/g[1]*.csv", True),
        ("in/*.csv", False),
        ("none.csv", True),
        ("s3://bucket/a.csv", True),
        ("s3://bucket/t/", False),
        ("s3://bucket/*.csv", False),
    ],
)
def test_one_table_or_several(folder, source, is_one):
    """Told by what is there, and else by the name."""
    (folder / "g[1]*.csv").write_text("Time,V1\n")
    assert sources.is_one(source) == is_one
