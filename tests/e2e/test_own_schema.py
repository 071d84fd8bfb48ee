"""Transactions of another schema through S3: data, retraining, the gate, the champion, scores; and what is refused."""

import json

import pandas as pd
import pytest

from tests import shop_schema
from tests.e2e.conftest import BUCKET
from tests.e2e.test_registry import Commands
from training import sample

pytestmark = pytest.mark.e2e

URI = f"s3://{BUCKET}/own-schema"
FIT = ("--split", "stratified", "--trees", "30")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the shop's schema and a file of its transactions."""
    folder = tmp_path_factory.mktemp("own-schema")
    (folder / "shop.toml").write_text(shop_schema.TEXT)
    shop_schema.generate(6_000, seed=1).to_csv(folder / "shop.csv", index=False, sep=";")
    return folder


@pytest.fixture(scope="module")
def loop(s3, folder):
    """A simulation of the shop's data, and two retrains, the second with an increment more."""
    command = Commands(folder / "home", {**s3.env, "FRAUD_S3_URI": URI})
    own = ("--schema", folder / "shop.toml")
    code, simulated, error = command("simulate", "--data", folder / "shop.csv", *own, "--slices", "2")
    assert code == 0, error
    first = command("retrain", *FIT, *own, "--increments", "1")
    second = command("retrain", *FIT, "--increments", "2")
    return command, simulated, first, second


def test_data_is_cut_and_retrained_on(loop):
    """The gate judges it as any other; the second challenger takes its schema from the champion."""
    _, simulated, (code, first, error), (again, second, later) = loop
    assert code == 0, error
    assert (first["promoted"], again in (0, 3)) == (True, True), later
    assert second["challenger"] != first["challenger"]
    figures = second["verdict"]["figures"]
    assert (figures["champion_version"], figures["challenger_version"]) == (first["champion"], second["challenger"])
    assert simulated["base"]["rows"] + sum(one["rows"] for one in simulated["increments"]) == 6_000


def test_the_schema_travels_with_the_champion(loop, folder):
    """In its manifest, whole; another home needs no file of it to evaluate and to score."""
    command, *_ = loop
    other = Commands(folder / "other", {name: command.env[name] for name in command.env if name.startswith("AWS_")})
    other.env["FRAUD_S3_URI"] = URI
    code, judged, error = other("evaluate", "--model", "champion", "--data", folder / "shop.csv", "--by", "channel")
    assert code == 0, error
    assert judged["metrics"]["average_precision"]["value"] > 0.5
    assert set(judged["by"]["channel"]) == {"app", "shop", "web"}
    scores = folder / "scores.parquet"
    done = other.python("-m", "fraud", "score", folder / "shop.csv", scores, "--model", "champion")
    assert done.returncode == 0, done.stderr
    scored = pd.read_parquet(scores)
    assert scored["transaction_id"].tolist() == shop_schema.generate(6_000, seed=1)["order"].tolist()
    assert json.loads(done.stdout)["rows"] == 6_000


def test_another_schema_is_refused_with_what_to_do(loop, folder):
    """By retrain unless it is declared, by evaluate, and by the service."""
    command, *_ = loop
    changed = folder / "changed.toml"
    changed.write_text(shop_schema.TEXT.replace("maximum = 10000", "maximum = 20000"))
    code, _, error = command("retrain", *FIT, "--schema", changed)
    assert code == 1
    assert "leave --schema and FRAUD_SCHEMA out, or say --allow-schema-change" in error
    code, _, error = command("evaluate", "--data", folder / "shop.csv", FRAUD_SCHEMA=str(changed))
    assert (code, "it carries its own, leave --schema and FRAUD_SCHEMA out" in error) == (1, True)
    code, _, error = command("image")
    assert (code, "the service takes creditcard alone" in error) == (1, True)


def test_data_of_another_schema_is_named_and_not_mixed_in(loop, folder):
    """What was pushed with another one is left out of a folder, and refused where it is asked for."""
    command, *_ = loop
    sample.generate(2_000).to_parquet(folder / "cards.parquet")
    code, pushed, error = command("data", "push", folder / "cards.parquet", "--name", "new/cards.parquet")
    assert code == 0, error
    code, outcome, error = command("retrain", *FIT)
    assert (code in (0, 3), outcome["challenger"] != "") == (True, True), error
    assert " 6000 rows, " in error
    assert "new/cards.parquet: was pushed with another transaction schema than shop, and left out" in error
    code, _, error = command("evaluate", "--data", pushed["uri"])
    assert (code, "was pushed with another transaction schema than shop" in error) == (1, True)
