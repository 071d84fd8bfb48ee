import hashlib
import json
import socket
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from fraud.errors import DataError, RegistryError
from fraud.remote import datasets, s3
from fraud.schema import default
from tests import shop_schema
from tests.ulb import COLUMNS, LABEL
from training import data, sample
from training.dataset import combine, row_hashes


@pytest.fixture
def frame():
    """A thousand synthetic rows, ten of them frauds."""
    return sample.generate(1_000, seed=5)


@pytest.fixture
def bucket(monkeypatch, frame):
    """Two files, a README and a folder marker below s3://bucket/dataset/, without a server; one file was pushed."""
    base = frame[:600].to_csv(index=False).encode()
    objects = {
        "s3://bucket/dataset/": b"",
        "s3://bucket/dataset/README.md": b"# What is here",
        "s3://bucket/dataset/base.csv": base,
        "s3://bucket/dataset/base.csv.sha256.json": json.dumps({"sha256": hashlib.sha256(base).hexdigest()}).encode(),
        "s3://bucket/dataset/new/1.csv": frame[600:].to_csv(index=False).encode(),
        "s3://bucket/broken/1.parquet": b"PAR1",
        "s3://bucket/text/README.md": b"# What is here",
    }

    def download(uri: str, target: Path, sha256: str | None) -> None:
        if uri not in objects:
            raise RegistryError(f"{uri}: there is no such object")
        if sha256 not in (None, hashlib.sha256(objects[uri]).hexdigest()):
            raise RegistryError(f"{uri}: damaged")
        target.write_bytes(objects[uri])

    monkeypatch.setattr(s3, "download", download)
    monkeypatch.setattr(s3, "get", lambda uri: (objects[uri], "") if uri in objects else None)
    monkeypatch.setattr(s3, "keys", lambda uri: [key for key in objects if key.startswith(uri)])
    return objects


def refused(*sources):
    with pytest.raises(DataError) as caught:
        data.load(sources, default())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sample_source():
    """``sample:ROWS:SEED`` is the generator's data, labelled synthetic."""
    dataset = data.load(["sample:1000:7"], default())
    np.testing.assert_array_equal(dataset.rows, sample.generate(1_000, 7)[list(COLUMNS)])
    assert (dataset.size, dataset.frauds, dataset.synthetic) == (1_000, 10, True)
    assert dataset.sources == ("sample:1000:7",)


def test_a_file_is_not_synthetic_but_a_mixture_is(tmp_path, frame):
    """Data is synthetic as soon as one source is the generator."""
    path = str(tmp_path / "t.parquet")
    frame.to_parquet(path)
    assert not data.load([path], default()).synthetic
    assert data.load([path, "sample:1000"], default()).synthetic


def test_sources_are_merged_in_time_order(tmp_path, frame):
    """Files given in any order make one dataset in time order; rows of one Time keep the order given."""
    tied = frame.assign(Time=np.repeat(np.arange(100.0), 10))
    late, early = tmp_path / "late.csv", tmp_path / "early.parquet"
    tied[500:].to_csv(late, index=False)
    tied[:500].to_parquet(early)
    merged = data.load([str(late), str(early)], default())
    np.testing.assert_array_equal(merged.rows, tied[list(COLUMNS)])
    np.testing.assert_array_equal(merged.labels, tied[LABEL])


def test_exact_duplicates_are_dropped_and_counted(frame):
    """A row that repeats another with its label goes; one with equal values and another label stays."""
    again = frame[:30].assign(**{LABEL: 1 - frame[LABEL][:30]})
    dataset = combine([frame, frame[100:150], again], ["t"], default(), synthetic=False)
    assert dataset.duplicates_dropped == 50
    assert dataset.size == 1_030


def test_dataset_types(frame):
    """Rows are contiguous float64 in schema order, labels int8, and neither can be written to."""
    dataset = combine([frame], ["t"], default(), synthetic=False)
    assert (dataset.rows.dtype, dataset.rows.shape, dataset.labels.dtype) == (np.float64, (1_000, 30), np.int8)
    assert dataset.rows.flags.c_contiguous
    for array in (dataset.rows, dataset.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_fingerprint(frame):
    """The fingerprint is SHA-256 over rows and labels: any changed value or label gives another one."""
    dataset = combine([frame], ["a"], default(), synthetic=False)
    content = dataset.rows.tobytes() + dataset.labels.tobytes()
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest()
    assert combine([frame[:400], frame[400:]], ["b", "c"], default(), synthetic=True).fingerprint == dataset.fingerprint
    for column in ("Amount", LABEL):
        changed = frame.copy()
        changed.loc[3, column] = 1 - changed.loc[3, column] if column == LABEL else changed.loc[3, column] + 0.01
        assert combine([changed], ["a"], default(), synthetic=False).fingerprint != dataset.fingerprint


@pytest.mark.parametrize(("value", "name"), [(0, "fraud"), (1, "legitimate")])
def test_both_classes_are_needed(tmp_path, frame, value, name):
    """Data of one class only cannot train; but one file of several may have no fraud."""
    path = tmp_path / "one.csv"
    frame.assign(**{LABEL: value}).to_csv(path, index=False)
    assert f"no row is labelled {name}" in refused(str(path))
    assert data.load([str(path), "sample:1000"], default()).frauds


def test_refused_sources(tmp_path, frame):
    """Unknown schemes, malformed sample sources and files that are not there are refused in one line."""
    for source in ("https://host/t.csv", "sample:many", "sample:1:2:3", "gs://bucket/t.csv"):
        assert "is no data source; expected a CSV" in refused(source)
    assert "no such file" in refused(str(tmp_path / "none.csv"))
    assert "no data given" in refused()
    assert "an empty name is no data source; expected a CSV" in refused("")
    assert "asked for 5" in refused("sample:5")


def test_a_bad_file_is_named(tmp_path, frame):
    """A rule broken in one of several files names that file."""
    path = tmp_path / "bad.csv"
    frame.assign(V3="x").to_csv(path, index=False)
    assert refused("sample:1000", str(path)).startswith(f"{path}: V3 must be a number")


def test_s3_object_and_folder(bucket, frame):
    """An S3 address is one object; with a slash at the end it is every table below, and nothing else that is there."""
    assert data.load(["s3://bucket/dataset/base.csv"], default()).size == 600
    everything = data.load(["s3://bucket/dataset/"], default())
    np.testing.assert_array_equal(everything.rows, frame[list(COLUMNS)])
    assert everything.sources == ("s3://bucket/dataset/",)


def test_s3_failures(bucket):
    """An empty folder and an unreadable object are named by their address; S3's own errors pass through."""
    for folder in ("none", "text"):
        assert refused(f"s3://bucket/{folder}/").startswith(f"s3://bucket/{folder}/: there is no CSV or Parquet file")
    assert refused("s3://bucket") == "s3://bucket: expected s3://bucket/key, or a folder that ends in /"
    assert refused("s3://bucket/broken/").startswith("s3://bucket/broken/1.parquet: not a readable Parquet")
    with pytest.raises(RegistryError, match="no such object"):
        data.load(["s3://bucket/none.csv"], default())


@pytest.mark.parametrize("source", ["s3://bucket/dataset/base.csv", "s3://bucket/dataset/"])
@pytest.mark.parametrize(
    ("changed", "words"), [("base.csv", "damaged"), ("base.csv.sha256.json", "expected JSON with a sha256")]
)
def test_a_pushed_file_is_checked(bucket, source, changed, words):
    """What is not what was pushed is not trained on, alone or in its folder."""
    bucket[f"s3://bucket/dataset/{changed}"] = b"something else"
    with pytest.raises(RegistryError, match=words):
        data.load([source], default())


def test_a_pushed_file_is_data_whatever_its_name(bucket, frame):
    """It was checked when it was pushed, and read by its content."""
    for end in ("", datasets.SUM):
        bucket[f"s3://bucket/named/week{end}"] = bucket[f"s3://bucket/dataset/base.csv{end}"]
    assert data.load(["s3://bucket/named/"], default()).size == 600


def pull_of(monkeypatch, source):
    """Makes ``source`` the one data file below s3://bucket/dataset/."""
    monkeypatch.setattr(s3, "keys", lambda _: [source + datasets.SUM])
    monkeypatch.setattr(s3, "get", lambda _: (b'{"sha256": "1"}', ""))
    monkeypatch.setattr(s3, "download", lambda _, target, **_sum: target.write_bytes(b"rows"))


@pytest.mark.parametrize("name", ["../out.csv", "new/../../out.csv", "/{outside}/out.csv"])
def test_a_pull_stays_in_its_folder(monkeypatch, tmp_path, name):
    """A key that leads out of it is refused, and nothing is written."""
    pull_of(monkeypatch, "s3://bucket/dataset/" + name.format(outside=tmp_path / "elsewhere"))
    with pytest.raises(RegistryError, match="the name leads out of"):
        datasets.pull("s3://bucket", tmp_path / "folder")
    assert not list(tmp_path.rglob("*"))


def test_a_pull_that_cannot_write_says_so(monkeypatch, tmp_path):
    """A file where the folder should be is one stated error."""
    pull_of(monkeypatch, "s3://bucket/dataset/new/1.csv")
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(DataError, match=r"1\.csv: cannot be written \("):
        datasets.pull("s3://bucket", tmp_path / "folder")


@pytest.mark.parametrize("labels", [["0", "1"], ["'0'", "'1'"]], ids=["plain", "quoted"])
def test_openml(monkeypatch, frame, labels):
    """OpenML's table, with its labels a category of text, is data set 1597 with Time kept."""
    asked = {}
    table = frame.assign(**{LABEL: pd.Categorical.from_codes(frame[LABEL], labels)})
    monkeypatch.setattr(
        sklearn.datasets, "fetch_openml", lambda **options: asked.update(options) or SimpleNamespace(frame=table)
    )
    dataset = data.load(["openml"], default())
    assert (dataset.size, dataset.frauds, dataset.synthetic) == (1_000, 10, False)
    assert (asked["data_id"], asked["target_column"]) == (1597, "Time")


def test_openml_out_of_reach(monkeypatch, tmp_path):
    """Without a network OpenML is one stated error."""

    def unreachable(*_args, **_kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setattr("sklearn.datasets._openml.urlopen", unreachable)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setattr(socket, "socket", lambda *_args, **_kwargs: pytest.fail("a socket was opened"))
    assert "openml: data set 1597 cannot be fetched: <urlopen error no network>" in refused("openml")


def test_row_hashes_are_stable():
    """The hash of known rows never changes: stored hashes of training rows must stay comparable."""
    rows = np.array([[0.0, 1.5], [-2.25, 1e300]])
    assert [f"{value:016x}" for value in row_hashes(rows)] == ["795ce3376c2b58ba", "046d1abea8b8d586"]
    assert [f"{value:016x}" for value in row_hashes(rows, 7, "split")] == [
        "d1301f4dabd80c3b",
        "835cd224e057d4ae",
    ]


def test_row_hashes_follow_content(frame):
    """Equal rows hash equal wherever they stand, and -0.0 as 0.0; other values, seeds and purposes hash apart."""
    rows = frame[list(COLUMNS)].to_numpy()
    hashes = row_hashes(rows)
    assert len(np.unique(hashes)) == 1_000
    np.testing.assert_array_equal(row_hashes(np.asfortranarray(rows[::-1]))[::-1], hashes)
    np.testing.assert_array_equal(row_hashes(rows * 0.0), row_hashes(rows * -0.0))
    assert not np.isin(row_hashes(rows, seed=1), hashes).any()
    assert not np.isin(row_hashes(rows, purpose="folds"), hashes).any()


def test_what_is_taken_for_no_fraud_is_said(tmp_path):
    """Where the schema names the values that mean fraud: a third one may be meant otherwise."""
    frame = shop_schema.generate(200)
    frame.loc[3, "fraudulent"] = "pending"
    frame.to_csv(tmp_path / "shop.csv", index=False)
    dataset = data.load([str(tmp_path / "shop.csv")], shop_schema.SCHEMA)
    assert "fraudulent: Y is fraud, N, pending is not" in dataset.notes
