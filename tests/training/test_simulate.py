"""A base and its increments: every row once, in time order, with frauds in each."""

import argparse
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from fraud import command
from fraud.errors import DataError, RegistryError
from fraud.inputs.keys import KeyHasher, is_hashed
from fraud.remote import datasets, s3
from fraud.schema import default
from tests import shop_schema
from tests.ulb import COLUMNS
from training import data
from training.console import Steps
from training.dataset import row_hashes
from training.simulate import SimulationPlan, cut, simulate
from training.split import split
from training.verbs import simulate as verb

URI = "s3://bucket/fraud"
HASHER = KeyHasher("a secret of forty characters, or of more")


@pytest.fixture(scope="module")
def dataset():
    return data.load(["sample:20000"], default())


@pytest.fixture
def bucket(monkeypatch):
    """S3 in memory: address to content."""
    held = {}

    def delete(uris):
        for uri in uris:
            del held[uri]

    monkeypatch.setattr(s3, "keys", lambda uri: sorted(key for key in held if key.startswith(uri)))
    monkeypatch.setattr(s3, "upload", lambda path, uri: held.update({uri: path.read_bytes()}))
    monkeypatch.setattr(s3, "put", lambda uri, document: held.update({uri: document}))
    monkeypatch.setattr(s3, "get", lambda uri: (json.dumps(held[uri]).encode(), "") if uri in held else None)
    monkeypatch.setattr(s3, "download", lambda uri, target, **_: target.write_bytes(held[uri]))
    monkeypatch.setattr(s3, "delete", delete)
    return held


@pytest.mark.parametrize("protocol", ["stratified", "time"])
@pytest.mark.parametrize("slices", [1, 4])
def test_every_row_is_in_one_part(dataset, protocol, slices):
    """About 80 % is the base; the increments are the rest, of equal size, each later than the one before."""
    parts = cut(dataset, protocol, slices, seed=3)
    together = np.concatenate([parts.base, *parts.increments])
    np.testing.assert_array_equal(np.sort(together), np.arange(dataset.size))
    assert 0.78 < len(parts.base) / dataset.size < 0.82
    sizes = [len(rows) for rows in parts.increments]
    assert len(sizes) == slices
    assert max(sizes) - min(sizes) <= 1
    times = [dataset.rows[rows, 0] for rows in parts.increments]
    assert all(before.max() <= after.min() for before, after in itertools.pairwise(times))
    assert all(dataset.labels[rows].any() for rows in parts.increments)
    if protocol == "time":
        assert dataset.rows[parts.base, 0].max() < times[0].min()


def test_a_stratified_base_still_has_test_rows_for_training(dataset):
    """Cut with one seed, then split with the same: the base is not the training side of that split."""
    parts = cut(dataset, "stratified", 1, seed=0)
    held_out = split(dataset, "stratified", seed=0).test
    share = np.isin(parts.base, held_out).mean()
    assert 0.17 < share < 0.23


def test_the_seed_decides_a_stratified_cut(dataset):
    """The same seed cuts alike, another one otherwise."""
    first, again, other = (cut(dataset, "stratified", 1, seed).base for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.setdiff1d(other, first)) > 100


def test_an_increment_without_fraud_is_refused(dataset):
    """The message says which, and what to do."""
    with pytest.raises(DataError, match=r"increment \d+ of 200 would have \d+ rows and no fraud .* fewer slices"):
        cut(dataset, "stratified", 200, seed=0)


def test_more_slices_than_rows_are_refused(dataset):
    """An increment without rows has no fraud either."""
    with pytest.raises(DataError, match="no fraud"):
        cut(dataset, "time", 10_000, seed=0)


def test_base_and_increments_are_put_with_their_checksums(bucket, dataset):
    """Parquet files that hold each row once; the result counts what was put."""
    result = simulate(URI, SimulationPlan(["sample:20000"], protocol="time", slices=3), Steps())
    names = ["base.parquet", *(f"new/000{number}.parquet" for number in (1, 2, 3))]
    assert sorted(bucket) == sorted(f"{URI}/dataset/{name}{end}" for name in names for end in ("", datasets.SUM))
    put = [result["base"], *result["increments"]]
    assert [part["uri"] for part in put] == [f"{URI}/dataset/{name}" for name in names]
    assert sum(part["rows"] for part in put) == dataset.size
    assert sum(part["frauds"] for part in put) == dataset.frauds
    assert all(bucket[part["uri"] + datasets.SUM]["sha256"] == part["sha256"] for part in put)
    assert all(part["frauds"] >= 1 and part["from_time"] <= part["to_time"] for part in put)


def test_the_folder_loads_as_the_data_it_was_cut_from(bucket, dataset):
    """Rows and labels come back, checksum files are passed over, and generated rows are still called so."""
    simulate(URI, SimulationPlan(["sample:20000"], slices=2), Steps())
    loaded = data.load([f"{URI}/dataset/"], default())
    for label in (0, 1):
        hashes = [np.sort(row_hashes(one.rows[one.labels == label])) for one in (loaded, dataset)]
        np.testing.assert_array_equal(*hashes)
    assert loaded.synthetic
    assert data.load([f"{URI}/dataset/new/0001.parquet"], default()).synthetic


def test_real_rows_are_not_called_synthetic(bucket, dataset, tmp_path):
    """The mark is the generator's alone."""
    path = tmp_path / "real.parquet"
    pd.DataFrame(dataset.rows, columns=list(COLUMNS)).assign(Class=dataset.labels).to_parquet(path)
    assert simulate(URI, SimulationPlan([str(path)]), Steps())["synthetic"] is False
    assert not data.load([f"{URI}/dataset/"], default()).synthetic


@pytest.fixture
def shop(tmp_path):
    shop_schema.generate(1_000).to_csv(tmp_path / "shop.csv", index=False)
    return [str(tmp_path / "shop.csv")]


def test_keys_of_a_simulation_are_hashed(bucket, shop):
    """The base and the increments hold no customer in plain, and say with which secret."""
    simulate(URI, SimulationPlan(shop, shop_schema.SCHEMA, hasher=HASHER), Steps())
    loaded = data.load([f"{URI}/dataset/"], shop_schema.SCHEMA)
    assert all(map(is_hashed, loaded.others["customer"]))
    prints = {document["key_fingerprint"] for name, document in bucket.items() if name.endswith(datasets.SUM)}
    assert prints == {HASHER.fingerprint}


def test_plain_keys_without_a_secret_end_a_simulation(bucket, shop):
    """Before anything is removed or put."""
    bucket[f"{URI}/dataset/{datasets.BASE}"] = b"before"
    with pytest.raises(DataError, match=r"customer holds keys in plain, and FRAUD_KEY_SECRET is not set"):
        simulate(URI, SimulationPlan(shop, shop_schema.SCHEMA), Steps(), replace=True)
    assert set(bucket.values()) == {b"before"}


def test_a_simulation_is_not_overwritten_unasked(bucket):
    """Neither a base nor increments that lost theirs; S3 stays as it is."""
    simulate(URI, SimulationPlan(["sample:20000"], slices=3), Steps())
    before = dict(bucket)
    with pytest.raises(RegistryError, match=r"base\.parquet is there already; --replace"):
        simulate(URI, SimulationPlan(["sample:3000"]), Steps())
    assert bucket == before
    del bucket[f"{URI}/dataset/base.parquet"]
    with pytest.raises(RegistryError, match="--replace"):
        simulate(URI, SimulationPlan(["sample:3000"]), Steps())


def test_replacing_leaves_nothing_of_before(bucket, capsys):
    """Old increments go; other data stays, and it is said that retraining reads it."""
    simulate(URI, SimulationPlan(["sample:20000"], slices=3), Steps())
    bucket[f"{URI}/dataset/own.csv"] = b"..."
    simulate(URI, SimulationPlan(["sample:3000"]), Steps(), replace=True)
    names = {key.removeprefix(f"{URI}/dataset/") for key in bucket if not key.endswith(datasets.SUM)}
    assert names == {"base.parquet", "new/0001.parquet", "own.csv"}
    assert len(bucket) == 5
    assert f"{URI}/dataset/own.csv is data too" in capsys.readouterr().err


def test_data_that_cannot_be_cut_replaces_nothing(bucket):
    """The old simulation is removed only when the new one is known to work."""
    simulate(URI, SimulationPlan(["sample:20000"]), Steps())
    before = dict(bucket)
    with pytest.raises(DataError):
        simulate(URI, SimulationPlan(["sample:20000"], slices=500), Steps(), replace=True)
    assert bucket == before


def test_a_checksum_goes_before_its_file(monkeypatch):
    """An interrupted removal leaves files that are not pulled, never a checksum without its file."""
    deleted = []
    monkeypatch.setattr(s3, "delete", deleted.extend)
    datasets.remove(["s3://b/a", f"s3://b/a{datasets.SUM}", "s3://b/c", f"s3://b/c{datasets.SUM}"])
    assert deleted == [f"s3://b/a{datasets.SUM}", f"s3://b/c{datasets.SUM}", "s3://b/a", "s3://b/c"]


def parser():
    made = argparse.ArgumentParser()
    verb.add_to(made.add_subparsers(required=True))
    return made


@pytest.mark.parametrize(
    "arguments", [[], ["--data", "x", "--slices", "0"], ["--data", "x", "--split", "random"], ["--data"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    """argparse's own words and code."""
    with pytest.raises(SystemExit) as ended:
        command.main(parser(), ["simulate", *arguments])
    assert ended.value.code == 2


def test_the_verb_needs_a_place(capsys):
    """A missing FRAUD_S3_URI is said before anything is loaded."""
    assert command.main(parser(), ["simulate", "--data", "no/such.csv"]) == 1
    assert "FRAUD_S3_URI is not set" in capsys.readouterr().err
