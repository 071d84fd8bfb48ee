"""Models and data go to a real S3 server and come back whole, or not at all."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

from fraud import store as local
from fraud.errors import ConflictError, RegistryError
from fraud.remote import s3 as objects
from fraud.remote.registry import ARCHIVE, ROWS, Registry
from tests.components import SeaweedFS
from tests.e2e.conftest import BUCKET, REPOSITORY
from training import sample
from training.console import Steps
from training.shipping import serve
from training.shipping.serve import Settings

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def reach_s3(s3, monkeypatch):
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def uri(request):
    """A prefix of the test's own."""
    return f"s3://{BUCKET}/{request.node.name[:40].replace('[', '-').rstrip(']')}"


class Commands:
    """Runs our commands on a store of the test's own, against S3."""

    def __init__(self, home, env):
        self.home, self.env = home, {**os.environ, **env, "BENTOML_HOME": str(home)}

    def __call__(self, *arguments, **changes):
        """Exit code, JSON and stderr of ``python -m training ARGUMENTS``."""
        done = self.python("-m", "training", *arguments, **changes)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    def python(self, *arguments, seconds=120, **changes):
        command = [sys.executable, *map(str, arguments)]
        env = self.env | changes
        return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds)


@pytest.fixture(scope="module")
def two_models(store, tmp_path_factory):
    """A store with the session's model and a newer one."""
    own = store.copy(tmp_path_factory.mktemp("two"))
    commands = Commands(own.home, {})
    code, result, error = commands("run", "--data", "sample:3000", "--trees", "8")
    assert code == 0, error
    return own.home, store.version, result["model_version"]


@pytest.fixture
def command(two_models, s3, uri, tmp_path):
    shutil.copytree(two_models[0], tmp_path / "home")
    return Commands(tmp_path / "home", {**s3.env, "FRAUD_S3_URI": uri})


@pytest.fixture
def published(command, two_models, uri):
    """A registry with both models published, the first of them champion; and their versions."""
    _, first, second = two_models
    for version in (first, second):
        code, result, error = command("publish", version)
        assert (code, result and result["champion"]) == (0, first), error
    return Registry(uri), first, second


def test_a_published_model_is_pulled_into_another_store_and_scores_the_same(command, tmp_path):
    """run --publish, list, pull champion and fraud score, each as its own process, give the same scores."""
    code, result, error = command("run", "--data", "sample:3000", "--trees", "8", "--publish")
    assert (code, result and result["champion"]) == (0, result and result["model_version"]), error
    version, other = result["model_version"], Commands(tmp_path / "other", command.env)
    code, pulled, error = other("pull", "champion")
    assert (code, pulled and pulled["tag"]) == (0, f"fraud_detector:{version}"), error
    listed = [(m["model_version"], m["local"], m["published"], m["champion"]) for m in other("list")[1]["models"]]
    assert listed == [(version, True, True, True)]
    rows, outputs = tmp_path / "rows.csv", [tmp_path / "one.csv", tmp_path / "two.csv"]
    sample.generate(1000, seed=3).to_csv(rows, index=False)
    for home, output in zip((command, other), outputs, strict=True):
        done = home.python("-m", "fraud", "score", rows, output, "--model", f"fraud_detector:{version}")
        assert done.returncode == 0, done.stderr
    assert outputs[0].read_text() == outputs[1].read_text()


def test_publishing_does_not_replace_a_champion_but_promote_does(published, command):
    """The second model is published and not champion; promote makes it one and says who was before, and why."""
    registry, first, second = published
    assert registry.pointer.read()[0].model_version == first
    code, champion, _ = command("promote", second, "--reason", "better")
    assert code == 0
    assert (champion["model_version"], champion["generation"]) == (second, 2)
    assert (champion["previous_version"], champion["reason"]) == (first, "better")


def test_every_change_of_champion_is_kept(published, uri):
    """history/ holds one object per change, chained by event, and champion.json equals the last."""
    registry, first, second = published
    registry.promote(second, "up")
    registry.promote(first, "and down again")
    events = [json.loads(objects.get(key)[0]) for key in objects.keys(f"{uri}/history/")]
    assert [event["generation"] for event in events] == [1, 2, 3]
    assert [event["previous_event"] for event in events] == [None, events[0]["event"], events[1]["event"]]
    assert json.loads(objects.get(f"{uri}/champion.json")[0]) == events[-1]


def test_publishing_again_changes_nothing(published, command):
    """The same model is found to be there; its archive is not uploaded twice."""
    registry, first, _ = published
    before = registry.published(first)
    assert command("publish", first)[0] == 0
    assert registry.published(first) == before


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(published):
    """Both read the same champion; compare-and-swap lets one write, in each of 20 rounds."""
    registry, first, second = published
    for number in range(20):
        standing = registry.pointer.read()
        challenger = second if standing[0].model_version == first else first

        def crown(reason, challenger=challenger, standing=standing):
            try:
                return registry.pointer.crown(challenger, standing, reason)
            except ConflictError as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(crown, ("one", "two")))
        lost = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
        assert len(lost) == 1, number
        assert "somebody else wrote it first" in str(lost[0])
        [won] = [outcome for outcome in outcomes if outcome not in lost]
        assert registry.pointer.read()[0] == won


def test_a_decision_about_an_earlier_champion_is_refused(published):
    """A trainer that judged against a champion who has been replaced meanwhile is told, and changes nothing."""
    registry, first, second = published
    judged_against = registry.pointer.read()
    registry.promote(second, "somebody else was quicker")
    standing = registry.promote(first, "and back, so that only the ETag tells")
    with pytest.raises(ConflictError, match="somebody else wrote it first"):
        registry.promote(second, "late", seen=judged_against)
    assert registry.pointer.read()[0] == standing


def test_a_damaged_archive_is_not_imported(published, tmp_path):
    """One flipped byte in S3: pull says so, and the local store stays as it was."""
    registry, version, _ = published
    archive, path = f"{registry.uri}/models/{version}/{ARCHIVE}", tmp_path / ARCHIVE
    objects.download(archive, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    objects.upload(path, archive)
    with pytest.raises(RegistryError, match="damaged or was replaced"):
        registry.pull(version)
    assert version not in local.versions()


def test_an_archive_with_another_file_inside_is_not_imported(published, tmp_path):
    """Even when the archive's own hash was replaced too, each file is checked against the model's manifest."""
    registry, version, _ = published
    archive, path, folder = f"{registry.uri}/models/{version}/{ARCHIVE}", tmp_path / ARCHIVE, tmp_path / "content"
    objects.download(archive, path)
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")
    (folder / "saved_model.pkl").write_bytes(b"something else")
    with tarfile.open(path, "w:xz") as tar:
        tar.add(folder, ".")
    objects.upload(path, archive)
    place = f"{registry.uri}/models/{version}/manifest.json"
    document = json.loads(objects.get(place)[0]) | {"archive_sha256": objects.file_sha256(path)}
    objects.put(place, document)
    with pytest.raises(RegistryError, match=r"saved_model\.pkl in the archive is not what was saved"):
        registry.pull(version)
    assert version not in local.versions()


def test_an_edited_threshold_stops_every_command(published, command, tmp_path):
    """serve, score, evaluate, publish and pull name the file in one line; once it is deleted, pull brings it back."""
    _, version, _ = published
    path = command.home / "models" / "fraud_detector" / version / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 0.0}))
    rows, out, environment = tmp_path / "rows.csv", tmp_path / "out.csv", {"FRAUD_MODEL": f"fraud_detector:{version}"}
    sample.generate(1000, seed=3).to_csv(rows, index=False)
    sample.generate(1000, seed=3).drop(columns="Class").to_csv(tmp_path / "unlabelled.csv", index=False)
    for done in (
        command.python("-m", "training", "pull", version),
        command.python("-m", "training", "serve", **environment),
        command.python("-m", "fraud", "score", tmp_path / "unlabelled.csv", out, "--model", version),
        command.python("-m", "training", "evaluate", "--model", version, "--data", rows),
        command.python("-m", "training", "publish", version),
    ):
        assert done.returncode == 1, done.stderr
        assert "manifest.json is not the file that was saved" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert not out.exists()
    deleted = command.python("-m", "bentoml", "models", "delete", f"fraud_detector:{version}", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    assert command("pull", version)[0] == 0


def test_an_interrupted_upload_shows_no_model_and_can_be_repeated(command, two_models, uri):
    """When the machine dies after the archive, nothing is listed, pulled or promoted; publishing again works."""
    version, registry = two_models[1], Registry(uri)
    dies = (
        "import os; from fraud.remote import s3, registry; s3.put = lambda *a, **k: os._exit(9);"
        f"registry.Registry({uri!r}).publish({version!r})"
    )
    assert command.python("-c", dies).returncode == 9
    assert objects.keys(f"{uri}/models/") == [f"{uri}/models/{version}/{name}" for name in (ARCHIVE, ROWS)]
    assert registry.versions() == []
    with pytest.raises(RegistryError, match="no such version is published"):
        registry.pull(version)
    with pytest.raises(RegistryError, match="no such version is published; publish it first"):
        registry.promote(version, "too early")
    assert command("publish", version)[0] == 0
    assert [item.manifest.model_version for item in registry.versions()] == [version]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the secret key does not fit the access key"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "the access key is unknown"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials; run `aws configure`"),
        ({"FRAUD_S3_URI": "s3://no-such-bucket/x"}, "the bucket does not exist"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "Could not connect"),
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "Invalid endpoint"),
        ({"FRAUD_S3_URI": "https://bucket"}, "FRAUD_S3_URI='https://bucket'"),
    ],
)
def test_each_way_s3_can_fail_has_its_words(command, change, words):
    """Exit code 1 and one line that says what to mend."""
    code, _, error = command("pull", "champion", **change)
    assert code == 1
    assert words in error
    assert len(error.splitlines()) == 1


def test_data_goes_to_s3_and_comes_back_checked(command, uri, tmp_path):
    """push checks and uploads, pull verifies; training reads the same rows from s3://; damage is named."""
    path = tmp_path / "base.parquet"
    sample.generate(3000).to_parquet(path)
    code, pushed, error = command("data", "push", str(path))
    assert (code, pushed and pushed["rows"]) == (0, 3000), error
    code, _, error = command("data", "pull", str(tmp_path / "down"))
    assert code == 0, error
    assert (tmp_path / "down" / "base.parquet").read_bytes() == path.read_bytes()
    code, trained, error = command("run", "--data", pushed["uri"], "--trees", "5")
    assert code == 0, error
    assert trained["data"]["rows"] == 3000
    other = tmp_path / "other.parquet"
    sample.generate(2000).to_parquet(other)
    objects.upload(other, pushed["uri"])
    code, _, error = command("data", "pull", str(tmp_path / "again"))
    assert code == 1
    assert "the object is damaged or was replaced" in error
    assert not (tmp_path / "again" / "base.parquet").exists()


def test_data_that_breaks_the_schema_is_not_uploaded(command, uri, tmp_path):
    """push says what is wrong and S3 stays empty."""
    path = tmp_path / "bad.csv"
    sample.generate(2000).assign(Amount=-1.0).to_csv(path, index=False)
    code, _, error = command("data", "push", str(path))
    assert code == 1
    assert "Amount" in error
    assert objects.keys(uri) == []


def test_rolling_back_twice_goes_back_twice(command, published):
    """Not to and fro between the last two: what was rolled back is not come back to."""
    registry, first, second = published
    registry.promote(second, "better")
    code, third, error = command("run", "--data", "sample:3000", "--trees", "6")
    assert code == 0, error
    assert command("publish", "latest")[0] == 0
    registry.promote(third["model_version"], "better still")
    assert registry.rollback("worse").model_version == second
    assert registry.rollback("that too").model_version == first
    with pytest.raises(RegistryError, match="no earlier champion to go back to"):
        registry.rollback("and on")


def test_rolling_back_onto_a_refused_version_takes_an_override(published):
    """What the gate refused does not come back by the back door."""
    registry, first, second = published
    registry.record_verdict(first, {"passed": False})
    registry.promote(second, "better")
    with pytest.raises(RegistryError, match="the gate refused this version"):
        registry.rollback("worse")
    assert registry.rollback("worse", override=True).model_version == first


def test_a_lost_answer_does_not_tell_the_winner_that_it_lost(published, monkeypatch):
    """boto3 tries a PUT again whose answer was lost, and then meets its own first write: still a promotion."""
    registry, _, second = published
    send, lost = URLLib3Session.send, []

    def lossy(session, request):
        answer = send(session, request)
        if request.method == "PUT" and "champion.json" in request.url and not lost:
            lost.append(request.url)
            raise ReadTimeoutError(endpoint_url=request.url)
        return answer

    monkeypatch.setattr(URLLib3Session, "send", lossy)
    champion = registry.promote(second, "better")
    assert lost
    assert registry.pointer.read()[0] == champion


def test_one_damaged_manifest_hides_no_other_model(published, uri, command):
    """list names it and shows the rest."""
    _, first, second = published
    objects.put(f"{uri}/models/{second}/manifest.json", {"format": 99})
    code, listed, error = command("list")
    assert code == 0
    assert "left out" in error
    assert [m["model_version"] for m in listed["models"] if m["published"]] == [first]


@pytest.fixture
def empty_store(monkeypatch):
    """This process's own model store, without what other tests have left in it."""
    import bentoml

    for version in local.versions():
        bentoml.models.delete(f"fraud_detector:{version}")


def test_serving_takes_the_champion_and_falls_back_to_it_when_s3_is_down(
    empty_store, published, uri, capsys, monkeypatch
):
    """With FRAUD_S3_URI the champion is pulled and pinned; when S3 is down the champion last seen, not the newest."""
    registry, first, second = published
    registry.promote(second, "better")
    settings = Settings(s3_uri=uri)
    assert serve.choose_model(settings, Steps()) == f"fraud_detector:{second}"
    assert "pulled and verified" in capsys.readouterr().err
    registry.rollback("worse")
    assert serve.choose_model(settings, Steps()) == f"fraud_detector:{first}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert serve.choose_model(settings, Steps()) == f"fraud_detector:{first}"
    said = capsys.readouterr().err
    assert "Could not connect" in said
    assert f"serving the local model instead: fraud_detector:{first}, the last champion" in said


def test_serving_without_s3_and_without_a_local_model_is_a_stated_error(empty_store, uri, monkeypatch):
    """A production host that cannot reach S3 never answers with a model trained on made-up rows."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(RegistryError, match="there is no local model to serve instead"):
        serve.choose_model(Settings(s3_uri=uri), Steps())


def test_s3_going_down_in_between_is_a_stated_error(command, two_models, tmp_path):
    """Publishing to a server that was stopped fails with one line, and works once it is up again."""
    with SeaweedFS(tmp_path / "s3") as server:
        server.make_bucket("own")
        env = {**server.env, "FRAUD_S3_URI": "s3://own/x"}
        server.stop()
        code, _, error = command("publish", "latest", **env)
        assert code == 1
        assert error.startswith("error: s3://own/x")
        assert "is safe in the local store: mend this, then run `python -m training publish" in error
        server.start()
        code, result, error = command("publish", "latest", **env)
        assert (code, result and result["champion"]) == (0, two_models[2]), error


@pytest.mark.parametrize("address", ["dataset/base.parquet", "dataset/"], ids=["file", "folder"])
def test_training_refuses_pushed_data_that_was_replaced(command, uri, tmp_path, address):
    """A readable table, but not the one that was pushed; a README beside it does no harm before."""
    path, other, readme = tmp_path / "base.parquet", tmp_path / "other.parquet", tmp_path / "README.md"
    sample.generate(3000).to_parquet(path)
    sample.generate(2000).to_parquet(other)
    readme.write_text("# What is here")
    code, pushed, error = command("data", "push", path)
    assert code == 0, error
    objects.upload(readme, f"{uri}/dataset/README.md")
    train = ("run", "--data", f"{uri}/{address}", "--trees", "5")
    code, _, error = command(*train)
    assert code == 0, error
    objects.upload(other, pushed["uri"])
    code, result, error = command(*train)
    assert (code, result) == (1, None)
    assert f"{pushed['uri']}: the object is damaged or was replaced" in error
