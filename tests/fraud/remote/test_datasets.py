"""Data sets that are pushed: no key leaves in plain."""

import json

import pandas as pd
import pytest

from fraud.errors import DataError
from fraud.inputs.keys import KeyHasher, is_hashed
from fraud.remote import datasets, s3
from fraud.schema import default
from fraud.tables import keys, table
from tests.shop_schema import SCHEMA, generate
from training import data, sample

URI = "s3://bucket/fraud"
HASHER, OTHER = KeyHasher("a secret of forty characters, or of more"), KeyHasher("another")


@pytest.fixture
def bucket(monkeypatch):
    """S3 in memory: address to content."""
    held = {}
    monkeypatch.setattr(s3, "keys", lambda uri: sorted(key for key in held if key.startswith(uri)))
    monkeypatch.setattr(s3, "upload", lambda path, uri: held.update({uri: path.read_bytes()}))
    monkeypatch.setattr(s3, "put", lambda uri, document: held.update({uri: json.dumps(document).encode()}))
    monkeypatch.setattr(s3, "get", lambda uri: (held[uri], "") if uri in held else None)
    monkeypatch.setattr(s3, "download", lambda uri, target, **_: target.write_bytes(held[uri]))
    return held


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.2024.csv"
    generate(400).to_csv(path, index=False, sep=";")
    return path


def facts(bucket, name):
    return json.loads(bucket[f"{URI}/dataset/{name}{datasets.SUM}"])


def test_a_file_with_plain_keys_becomes_parquet_with_hashes(bucket, shop, tmp_path):
    """Of the same rows, in their order: read back, it is the file with its keys hashed."""
    pushed = datasets.push(URI, shop, SCHEMA, hasher=HASHER)
    assert pushed["uri"] == f"{URI}/dataset/shop.2024.parquet"
    assert pushed["keys_hashed"] == ["customer"]
    (tmp_path / "back.parquet").write_bytes(bucket[pushed["uri"]])
    again, before = (table.read_table(path, SCHEMA) for path in (tmp_path / "back.parquet", shop))
    assert table.LAYOUT not in again.attrs
    again, before = (table.check(frame, SCHEMA, labelled=True) for frame in (again, before))
    assert all(map(is_hashed, again["customer"]))
    pd.testing.assert_frame_equal(again, keys.hashed(before, SCHEMA, HASHER))
    assert facts(bucket, "shop.2024.parquet")["key_fingerprint"] == HASHER.fingerprint
    assert facts(bucket, "shop.2024.parquet")["rows"] == 400


@pytest.mark.parametrize("name", ["new/1.parquet", "new/1.PQ"])
def test_a_csv_is_not_pushed_under_the_name_of_a_parquet_file(bucket, tmp_path, name):
    """Nobody could read it, and with it the whole folder: nothing is uploaded."""
    path = tmp_path / "week.csv"
    sample.generate(1_000, fraud_share=0.1).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"expected a name that ends in \.csv"):
        datasets.push(URI, path, default(), name)
    assert not bucket


def test_without_a_secret_plain_keys_stay_here(bucket, shop):
    """The error names the file, the column, the setting, and what makes a secret."""
    with pytest.raises(DataError, match=r"shop\.2024\.csv: customer holds keys in plain, and FRAUD_KEY_SECRET is not"):
        datasets.push(URI, shop, SCHEMA)
    assert bucket == {}


@pytest.mark.parametrize("hasher", [None, HASHER])
def test_a_file_of_hashes_goes_as_it_is(bucket, shop, tmp_path, hasher):
    """As the increments of labelled transactions do, with and without a secret at hand."""
    path = tmp_path / "hashed.csv"
    keys.hashed(table.read_table(shop, SCHEMA), SCHEMA, HASHER).to_csv(path, index=False)
    pushed = datasets.push(URI, path, SCHEMA, "new/1.csv", hasher)
    assert bucket[pushed["uri"]] == path.read_bytes()
    assert facts(bucket, "new/1.csv").get("key_fingerprint") == (hasher and HASHER.fingerprint)


def test_data_without_keys_goes_as_ever(bucket, tmp_path):
    """With a secret set, too: nothing of it is noted."""
    path = tmp_path / "plain.csv"
    sample.generate(1_000).to_csv(path, index=False)
    datasets.push(URI, path, default(), hasher=HASHER)
    assert bucket[f"{URI}/dataset/plain.csv"] == path.read_bytes()
    assert "key_fingerprint" not in facts(bucket, "plain.csv")


@pytest.mark.parametrize("name", ["week.csv", "new/week"])
def test_a_name_of_another_format_is_refused(bucket, shop, name):
    """What is uploaded is Parquet."""
    with pytest.raises(DataError, match=r"expected a name that ends in \.parquet"):
        datasets.push(URI, shop, SCHEMA, name, HASHER)
    assert bucket == {}


@pytest.mark.parametrize(("given", "expected"), [("a.csv.gz", "a"), ("a.b.TSV", "a.b"), ("a.zip", "a"), ("a", "a")])
def test_the_name_is_the_files_own(bucket, shop, tmp_path, given, expected):
    """Two files of different names stay two."""
    path = shop.rename(tmp_path / given)
    assert datasets.push(URI, path, SCHEMA, hasher=HASHER)["uri"] == f"{URI}/dataset/{expected}.parquet"


def test_a_raw_base_and_hashed_increments_are_loaded_together(bucket, shop, tmp_path):
    """A customer of both is one."""
    datasets.push(URI, shop, SCHEMA, hasher=HASHER)
    later = tmp_path / "later.csv"
    generate(400, seed=1).to_csv(later, index=False)
    loaded = data.load([f"{URI}/dataset/", str(later)], SCHEMA, HASHER)
    expected = data.load([str(shop), str(later)], SCHEMA, HASHER)
    assert loaded.others["customer"].tolist() == expected.others["customer"].tolist()
    assert loaded.others["customer"].nunique() == len({*generate(400)["customer"], *generate(400, seed=1)["customer"]})
    assert loaded.fingerprint == expected.fingerprint


def test_a_file_of_another_secret_is_refused(bucket, shop):
    """By both fingerprints; without a secret nothing is kept, and nothing compared."""
    datasets.push(URI, shop, SCHEMA, hasher=HASHER)
    with pytest.raises(DataError, match=rf"shop\.2024\.parquet: .*{HASHER.fingerprint}.*{OTHER.fingerprint}"):
        data.load([f"{URI}/dataset/"], SCHEMA, OTHER)
    assert data.load([f"{URI}/dataset/"], SCHEMA).size == 400


def test_what_was_pushed_before_there_were_secrets_is_read(bucket, shop):
    """Plain keys of it are hashed when they are loaded."""
    bucket[f"{URI}/dataset/old.csv"] = shop.read_bytes()
    bucket[f"{URI}/dataset/old.csv{datasets.SUM}"] = json.dumps({"sha256": "0" * 64}).encode()
    assert all(map(is_hashed, data.load([f"{URI}/dataset/"], SCHEMA, HASHER).others["customer"]))
