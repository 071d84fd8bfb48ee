"""Transactions of another schema: data in S3, retraining, the gate, the champion, scores, the service, the image."""

import json

import bentoml
import httpx
import pandas as pd
import pytest

from fraud.inputs.keys import KeyHasher
from tests import shop_schema
from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import BUCKET, REPOSITORY, serve_command
from tests.e2e.test_fuzz import assert_nothing_found, fuzz
from tests.e2e.test_registry import Commands
from training import sample

pytestmark = pytest.mark.e2e

URI = f"s3://{BUCKET}/own-schema"
PHRASE = "a secret of forty characters, or of more"
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
    command = Commands(folder / "home", {**s3.env, "FRAUD_S3_URI": URI, "FRAUD_KEY_SECRET": PHRASE})
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
    """By retrain unless it is declared, and by evaluate."""
    command, *_ = loop
    changed = folder / "changed.toml"
    changed.write_text(shop_schema.TEXT.replace("maximum = 10000", "maximum = 20000"))
    code, _, error = command("retrain", *FIT, "--schema", changed)
    assert code == 1
    assert "leave --schema and FRAUD_SCHEMA out, or say --allow-schema-change" in error
    code, _, error = command("evaluate", "--data", folder / "shop.csv", FRAUD_SCHEMA=str(changed))
    assert (code, "it carries its own, leave --schema and FRAUD_SCHEMA out" in error) == (1, True)


def test_another_secret_of_keys_is_refused_with_what_to_do(loop):
    """By both fingerprints; the base and the increments hold hashes of the one that was set."""
    command, simulated, *_ = loop
    ours, theirs = (KeyHasher(secret).fingerprint for secret in (PHRASE, "x" * 32))
    code, _, error = command("retrain", *FIT, FRAUD_KEY_SECRET="x" * 32)
    assert (code, f"of fingerprint {ours}, and FRAUD_KEY_SECRET is the one of {theirs}: " in error) == (1, True)
    assert "--allow-key-change" in error
    code, _, error = command("evaluate", "--data", simulated["base"]["uri"], FRAUD_KEY_SECRET="x" * 32)
    assert (code, "base.parquet: its keys were hashed with the secret of" in error) == (1, True)


@pytest.fixture(scope="module")
def served(loop, folder):
    """The champion, served by two workers with a prediction log; its version and the server."""
    command, _, (_, first, _), (_, second, _) = loop
    version = second["champion"] or first["champion"]
    port = free_port()
    env = {
        **command.env,
        "FRAUD_MODEL": f"fraud_detector:{version}",
        "FRAUD_WORKERS": "2",
        "FRAUD_DATABASE_URL": f"sqlite:///{folder / 'log.sqlite'}",
        "FRAUD_MAX_BATCH_ROWS": "1000",
    }
    with BentoServer(serve_command(port), env, REPOSITORY, port, folder) as server:
        yield version, server


def sent(frame):
    """Rows of the shop's file as requests: what is missing is absent, or null."""
    kept = frame.drop(columns=["fraudulent", "comment"]).replace({"returning": {"yes": True, "no": False}})
    requests = kept.astype(object).where(kept.notna(), None).to_dict("records")
    return [
        {name: value for name, value in row.items() if value is not None or place % 2}
        for place, row in enumerate(requests)
    ]


def test_served_scores_are_those_of_the_file(served, loop, folder):
    """To the bit, alone and in a batch, through BentoML's client too; the id comes back as transaction_id."""
    version, server = served
    command, *_ = loop
    frame = shop_schema.generate(900, seed=5)
    frame.to_csv(folder / "new.csv", index=False)
    done = command.python("-m", "fraud", "score", folder / "new.csv", folder / "new.parquet", "--model", version)
    assert done.returncode == 0, done.stderr
    expected, rows = pd.read_parquet(folder / "new.parquet"), sent(frame)
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        batch = client.post("/predict_batch", json={"transactions": rows}).json()["predictions"]
        alone = [client.post("/predict", json=row).json() for row in rows[:100]]
        counted = client.get("/metrics").text
    assert [one["fraud_probability"] for one in batch] == expected["fraud_probability"].tolist()
    assert [one["transaction_id"] for one in batch] == frame["order"].tolist()
    assert alone == batch[:100]
    assert "fraud_long_path_total 0.0" in counted
    with bentoml.SyncHTTPClient(server.url) as client:
        assert client.predict(rows[0]) == batch[0]
        assert client.predict_batch({"transactions": rows[:3]}) == {"predictions": batch[:3]}


def test_texts_that_are_new_are_counted_over_the_workers(served):
    """In their own bin too, beside the levels by their names; all is there before a new text comes."""
    version, server = served
    row = sent(shop_schema.generate(10, seed=6))[0] | {"country": "XX"}
    unseen = 'fraud_unseen_levels_total{feature="country"} '
    labels = f'bin="(unseen)",feature="country",model_version="{version}"'

    def page():
        return httpx.get(f"{server.url}/metrics", trust_env=False).text

    assert f"{unseen}0.0" in page()
    for name in ("AT", "NA", "(missing)"):
        assert f'fraud_feature_reference_ratio{{bin="{name}",feature="country",model_version="{version}"}}' in page()
    for _ in range(7):
        httpx.post(f"{server.url}/predict", json=row, trust_env=False).raise_for_status()
    wait_until(lambda: f"{unseen}7.0" in page(), seconds=20)
    wait_until(lambda: f"fraud_feature_bin_total{{{labels}}} 7.0" in page(), seconds=20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bought_at": "yesterday"}, "should be a time in ISO 8601, or seconds since 1970"),
        ({"total": -1}, "should be greater than or equal to 0"),
        ({"age": "33"}, "should be a valid number"),
        ({"country": 49}, "should be text, in quotes"),
        ({"channel": "fax"}, "should be 'app', 'shop' or 'web'"),
        ({"returning": "yes"}, "should be a valid boolean"),
        ({"customer": None}, "should be text, in quotes"),
        ({"order": 5}, "should be text, in quotes"),
        ({"transaction_id": "o-1"}, "is not a field of a transaction"),
    ],
    ids=str,
)
def test_a_bad_value_of_each_kind_is_refused_by_its_name(served, change, message):
    """In the shape of every error."""
    _, server = served
    row = sent(shop_schema.generate(1, seed=5))[0]
    answer = httpx.post(f"{server.url}/predict", json=row | change, trust_env=False)
    assert (answer.status_code, answer.json()["details"]) == (400, [{"field": next(iter(change)), "message": message}])


def test_the_documents_are_of_the_served_schema(served, tmp_path):
    """Their example is taken, and schemathesis finds no answer that is not as they say."""
    _, server = served
    document = httpx.get(f"{server.url}/docs.json", trust_env=False).json()
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert httpx.post(f"{server.url}/predict", json=example, trust_env=False).status_code == 200
    report = fuzz(f"{server.url}/docs.json", tmp_path, "--max-examples=50")
    assert_nothing_found(report, server)


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
