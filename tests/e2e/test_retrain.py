"""The retraining loop against real S3: the first champion, an honest challenger, a spoiled one, a rollback."""

import subprocess
import uuid

import httpx
import numpy as np
import pandas as pd
import pytest

from fraud.schema import default
from tests.components import Container, free_port, require_engine, wait_until
from tests.e2e.conftest import BUCKET, engine_only
from tests.e2e.test_registry import Commands
from tests.ulb import COLUMNS, LABEL
from training import split
from training.data import load
from training.dataset import row_hashes

pytestmark = pytest.mark.e2e

SOURCE = "sample:60000"  # 300 frauds, about 60 of them held out
FIT = ("--split", "stratified", "--trees", "40", "--max-samples", "0.2")


def frame(dataset, labels, rows):
    """Some rows of a dataset as a table, with the labels given."""
    return pd.DataFrame(dataset.rows[rows], columns=COLUMNS).assign(**{LABEL: labels[rows]})


def removed(engine, name):
    """Whether the image is gone; it stays while the engine still clears its container away."""
    return subprocess.run([engine.name, "rmi", "--force", name], env=engine.env, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def dataset():
    return load([SOURCE], default())


@pytest.fixture(scope="module")
def held_out(dataset):
    """Rows that the stratified protocol holds out, now and as the data grows."""
    return split.split(dataset, "stratified").test


@pytest.fixture(scope="module")
def loop(s3, dataset, tmp_path_factory):
    """A first retrain on three quarters of the rows, a second on all of them: what both answered."""
    folder, uri = tmp_path_factory.mktemp("loop"), f"s3://{BUCKET}/loop"
    command = Commands(folder / "home", {**s3.env, "FRAUD_S3_URI": uri})
    answers, everything = [], np.arange(dataset.size)
    parts = {"base.parquet": everything % 4 != 3, "new/0001.parquet": everything % 4 == 3}
    for name, rows in parts.items():
        path = folder / name.replace("/", "-")
        frame(dataset, dataset.labels, rows).to_parquet(path)
        code, _, error = command("data", "push", path, "--name", name)
        assert code == 0, error
        answers.append(command("retrain", *FIT))
    return command, answers


def test_the_first_challenger_that_clears_the_floors_is_champion(loop):
    """Without a champion the absolute rules decide; every reason is in the answer and on stderr."""
    code, outcome, error = loop[1][0]
    assert code == 0, error
    assert outcome["promoted"]
    assert outcome["champion"] == outcome["challenger"]
    assert outcome["verdict"]["passed"]
    for reason in outcome["verdict"]["reasons"]:
        assert reason["rule"] in error
    assert "no champion to differ from" in error


def test_an_honest_challenger_on_more_rows_replaces_the_champion(loop):
    """It is judged beside the champion on rows that neither trained on, and promoted."""
    (_, first, _), (code, second, error) = loop[1]
    assert code == 0, error
    figures = second["verdict"]["figures"]
    assert figures["left_out"] == 0  # membership follows from content: what was held out stays held out
    assert figures["frauds"] >= 45
    assert set(figures) >= {"challenger", "champion", "differences", "policy"}
    assert (figures["challenger_version"], figures["champion_version"]) == (second["challenger"], first["challenger"])
    assert second["champion"] == second["challenger"] != first["challenger"]


def test_compare_says_elsewhere_what_the_gate_said(loop, tmp_path):
    """On a machine that has neither model: both are pulled, and S3 knows which rows they were trained on."""
    command, ((_, first, _), (_, second, _)) = loop
    rows = ("--data", f"s3://{BUCKET}/loop/dataset/")
    code, compared, error = command("compare", first["challenger"], "champion", *rows, BENTOML_HOME=str(tmp_path))
    assert code == 0, error
    figures = second["verdict"]["figures"]
    assert compared["rows"] == figures["rows"]
    assert compared["models"][1]["model_version"] == second["champion"]
    theirs = {"own": "challenger", "first": "champion"}
    for name, one in compared["models"][1]["differences"].items():
        assert {theirs.get(key, key): value for key, value in one.items()} == figures["differences"][name]


def test_the_users_store_holds_the_champions_and_what_s3_has_of_them(loop):
    """Each promoted model was pulled; list says who is champion, who was, and what the gate said."""
    command, ((_, first, _), (_, second, _)) = loop
    listed = command("list")[1]
    versions = [second["challenger"], first["challenger"]]
    assert [(m["model_version"], m["local"], m["verdict"]) for m in listed["models"]] == [
        (version, True, "passed") for version in versions
    ]
    assert [(event["model_version"], event["reason"]) for event in listed["history"]] == [
        (version, "passed the gate") for version in versions
    ]


def test_a_retrain_on_the_same_data_finds_nothing_new(loop):
    """The challenger is the champion to the bit: nothing is published, promoted or refused; exit code 0."""
    command, (_, (_, second, _)) = loop
    code, outcome, error = command("retrain", *FIT)
    assert code == 0, error
    assert (outcome["unchanged"], outcome["promoted"], outcome["champion"]) == (True, False, second["champion"])
    assert outcome["challenger"] not in [m["model_version"] for m in command("list")[1]["models"]]


def test_increments_replay_what_was_known_before(loop):
    """One increment is all there is; a second is asked for in vain."""
    command, _ = loop
    code, outcome, error = command("retrain", *FIT, "--increments", "1")
    assert (code, outcome and outcome["unchanged"]) == (0, True), error
    code, _, error = command("retrain", *FIT, "--increments", "2")
    assert code == 1
    assert "there are 1 increments, not 2" in error


def test_a_retrain_that_cannot_keep_its_verdict_shows_no_challenger(loop):
    """The verdict is written before the model can be seen, so nothing ungated is ever there to promote."""
    command, _ = loop
    before = [m["model_version"] for m in command("list")[1]["models"]]
    breaks = (
        "import sys; from fraud import errors; from fraud.remote import registry; from training import __main__\n"
        "def fail(*_): raise errors.RegistryError('S3 went away')\n"
        "registry.Registry.record_verdict = fail; sys.exit(__main__.main())"
    )
    done = command.python("-c", breaks, "retrain", *FIT, "--seed", "9")
    assert done.returncode == 1, done.stderr
    assert "error: S3 went away" in done.stderr
    assert [m["model_version"] for m in command("list")[1]["models"]] == before


@pytest.fixture(scope="module")
def spoiled(loop, dataset, held_out, tmp_path_factory):
    """A retrain on data whose training labels are shuffled; the held-out rows keep theirs."""
    command, _ = loop
    labels = dataset.labels.copy()
    train = np.setdiff1d(np.arange(dataset.size), held_out)
    labels[train] = np.random.default_rng(0).permutation(labels[train])
    path = tmp_path_factory.mktemp("spoiled") / "spoiled.parquet"
    frame(dataset, labels, np.arange(dataset.size)).to_parquet(path)
    words = ("retrain", "--data", path, *FIT)
    return *command(*words), words


def test_a_challenger_fitted_on_shuffled_labels_is_refused(loop, spoiled):
    """Exit code 3, the reasons told, nothing promoted, and the challenger kept in S3 as refused."""
    command, (_, (_, second, _)) = loop
    code, outcome, error, _ = spoiled
    assert code == 3, error
    assert (outcome["promoted"], outcome["champion"]) == (False, second["challenger"])
    assert "REFUSED average_precision floor" in error
    rows = {m["model_version"]: m for m in command("list")[1]["models"]}
    refused = rows[outcome["challenger"]]
    assert (refused["published"], refused["verdict"], refused["champion"]) == (True, "refused", False)


def test_a_challenger_that_was_refused_is_not_published_again(loop, spoiled):
    """The same data and recipe end in the same refusal, exit code 3, with the version that is there."""
    command, _ = loop
    before = [m["model_version"] for m in command("list")[1]["models"]]
    code, outcome, error = command(*spoiled[3])
    assert code == 3, error
    assert (outcome["challenger"], outcome["judged_before"]) == (spoiled[1]["challenger"], True)
    assert outcome["verdict"] == spoiled[1]["verdict"]
    assert [m["model_version"] for m in command("list")[1]["models"]] == before


def test_a_refused_challenger_never_enters_the_users_store(loop, spoiled):
    """It was fitted and gated in a store of its own, so bentoml's ``latest`` stays the champion."""
    command, _ = loop
    done = command.python("-c", "from fraud import store; print(*store.versions())")
    assert spoiled[1]["challenger"] not in done.stdout.split()
    done = command.python("-c", "import bentoml; print(bentoml.models.get('fraud_detector:latest').tag.version)")
    assert done.stdout.strip() == spoiled[1]["champion"]


def test_promoting_a_refused_version_takes_an_override(loop, spoiled):
    """promote names the refusal; what --override does stays in the history. Then rollback undoes it."""
    command, _ = loop
    version, champion = spoiled[1]["challenger"], spoiled[1]["champion"]
    code, _, error = command("promote", version)
    assert code == 1
    assert "the gate refused this version; --override promotes it anyway" in error
    assert command("promote", version, "--override", "--reason", "a drill")[0] == 0
    code, back, error = command("rollback", "--reason", "the drill is over")
    assert code == 0, error
    assert (back["model_version"], back["previous_version"]) == (champion, version)
    reasons = [event["reason"] for event in command("list")[1]["history"]]
    assert reasons == ["the drill is over", "a drill", "passed the gate", "passed the gate"]


def test_after_a_refusal_and_a_rollback_make_run_serves_the_champion(loop, spoiled):
    """What ``make run`` would serve is the champion of S3, though a newer model was published."""
    command, _ = loop
    code = "from training import console; from training.shipping import serve; from fraud.settings import Settings; print(serve.choose_model(Settings.from_env(), console.Steps()))"  # noqa: E501
    done = command.python("-c", code)
    assert done.stdout.strip() == f"fraud_detector:{spoiled[1]['champion']}", done.stderr


def test_a_refused_version_is_not_shipped(loop, spoiled):
    """``image --version`` of what the gate refused takes a promotion by override first."""
    engine, (command, _) = require_engine(), loop
    history = [event["model_version"] for event in command("list")[1]["history"]]
    code, _, error = command("image", "--version", "champion", **engine_only(engine))
    assert code == 1
    assert "takes a version, not 'champion'" in error
    if spoiled[1]["challenger"] not in history:
        code, _, error = command("image", "--version", spoiled[1]["challenger"], **engine_only(engine))
        assert code == 1
        assert "the gate refused this version" in error


def test_after_a_refusal_and_a_rollback_the_built_image_serves_the_champion(loop, spoiled, tmp_path):
    """``make image`` takes the champion of S3, though newer models were trained, refused and rolled back."""
    engine, (command, _) = require_engine(), loop
    name, port = f"fraud-e2e:{uuid.uuid4().hex[:12]}", free_port()
    code, built, error = command("image", "--tag", name, **engine_only(engine))
    assert code == 0, error
    try:
        assert built["model_version"] == spoiled[1]["champion"]
        with Container(engine, name, port, tmp_path) as container:
            card = httpx.get(f"{container.url}/model", trust_env=False).json()
        assert card["model_version"] == spoiled[1]["champion"]
    finally:
        wait_until(lambda: removed(engine, name))


def test_rows_that_the_champion_trained_on_are_left_out(loop, dataset):
    """Under another split seed the champion knows most held-out rows: they are not judged, and too few are left."""
    command, _ = loop
    code, outcome, error = command("retrain", *FIT, "--split-seed", "5")
    assert code == 3, error
    figures = outcome["verdict"]["figures"]
    parts = split.split(dataset, "stratified", seed=5)
    known = np.setdiff1d(np.arange(dataset.size), split.split(dataset, "stratified").test)
    assert figures["left_out"] == len(np.intersect1d(parts.test, known))
    assert "enough frauds to judge" in [r["rule"] for r in outcome["verdict"]["reasons"] if not r["passed"]]


def test_each_version_keeps_the_hashes_of_its_training_rows_in_s3_alone(loop, dataset, held_out, s3, monkeypatch):
    """They are those of the fitted rows, sorted, and not part of the model-store entry that ships."""
    command, (_, (_, second, _)) = loop
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    from fraud.remote.registry import Registry

    hashes = Registry(f"s3://{BUCKET}/loop").row_hashes(second["challenger"])
    train = np.setdiff1d(np.arange(dataset.size), held_out)
    assert np.array_equal(hashes, np.sort(row_hashes(dataset.rows[train])))
    entry = command.home / "models" / "fraud_detector" / second["challenger"]
    assert {path.name for path in entry.iterdir()} == {
        "model.yaml",
        "manifest.json",
        "saved_model.pkl",
        "forest.safetensors",
    }
