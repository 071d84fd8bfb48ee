"""What docs/recovery.md says, done: each thing broken for good, named by the doctor, and brought back."""

import json
import shutil
import subprocess
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from fraud import store
from fraud.errors import DamagedError, RegistryError
from fraud.remote import s3 as objects
from fraud.remote.registry import ARCHIVE, ROWS, Registry
from tests.components.process import free_ports
from tests.e2e.conftest import BUCKET, run
from tests.e2e.test_registry import Commands, command, reach_s3, two_models  # noqa: F401
from training.doctor.part import Part, bounded
from training.doctor.registry import look

pytestmark = pytest.mark.e2e


def key_of(uri):
    return uri.removeprefix(f"s3://{BUCKET}/")


@pytest.fixture
def uri():
    """A prefix of the test's own."""
    return f"s3://{BUCKET}/{uuid4().hex}"


@pytest.fixture(scope="module")
def template(two_models, s3):  # noqa: F811
    """A prefix with both models published and a history of two events: the second is champion."""
    home, older, newer = two_models
    commands = Commands(home, {**s3.env, "FRAUD_S3_URI": f"s3://{BUCKET}/template"})
    for verb in (("publish", older), ("publish", newer), ("promote", newer)):
        code, _, error = commands(*verb)
        assert code == 0, error
    return older, newer


@pytest.fixture
def second(template, s3, uri):
    """A copy of it, as a registry, and both versions."""
    client = s3.client()
    for key in objects.keys(f"s3://{BUCKET}/template/"):
        source, target = key_of(key), key_of(uri) + key_of(key).removeprefix("template")
        client.copy_object(Bucket=BUCKET, Key=target, CopySource=f"{BUCKET}/{source}")
    return Registry(uri), *template


def found(registry):
    """What the doctor finds wrong with S3."""
    return bounded(Part("s3"), lambda part: look(part, registry), seconds=60).findings


@pytest.fixture
def doctor(command):  # noqa: F811
    """The findings about a part, and what is wrong besides."""

    def ask(part, **changes):
        code, document, error = command("doctor", **changes)
        findings = {name: seen["findings"] for name, seen in document.items() if name != "well"}
        said = [f"{name}: {finding}" for name, those in findings.items() for finding in those]
        assert (code, document["well"]) == (int(bool(said)), not said)
        assert [line for line in error.splitlines() if line in said] == said
        return findings.pop(part), [finding for those in findings.values() for finding in those]

    return ask


def test_all_is_well(second, command, doctor):  # noqa: F811
    """A whole registry, whose champion is the newest local model: no word but that."""
    assert doctor("s3") == ([], [])
    code, document, error = command("doctor")
    assert (code, error) == (0, "all is well; not set: database, histories\n")
    assert (document["s3"]["champion"], document["s3"]["history"]) == (second[2], 2)


def test_a_server_that_is_away_hides_nothing_local(second, doctor):
    """S3 is named, and the local models are looked at."""
    [away], others = doctor("s3", AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{free_ports(1)[0]}", FRAUD_NOPE="1")
    assert "Could not connect" in away
    assert len(others) == 1
    assert others[0].startswith("FRAUD_NOPE is not a setting")


def test_a_lost_pointer_makes_nobody_champion(second, command, uri, s3):  # noqa: F811
    """Publishing would have crowned whatever came next. The newest event, copied over it, is the pointer again."""
    registry, older, _ = second
    before = objects.get(f"{uri}/champion.json")[0]
    objects.delete([f"{uri}/champion.json"])
    for verb in (("publish", older), ("rollback",), ("list",)):
        code, _, error = command(*verb)
        assert (code, "champion.json: is gone, though there was a champion; put the newest" in error) == (1, True)
    assert objects.get(f"{uri}/champion.json") is None
    assert len(found(second[0])) == 1
    newest = objects.keys(f"{uri}/history/")[-1]
    run(["aws", "s3", "cp", newest, f"{uri}/champion.json"], command.env)
    assert objects.get(f"{uri}/champion.json")[0] == before
    assert found(second[0]) == []
    assert registry.rollback("worse").model_version == older


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}'], ids=repr)
def test_a_damaged_pointer_is_named_and_comes_back_from_its_version(second, command, uri, s3, content):  # noqa: F811
    """In a bucket that keeps versions; one of a later format is not damaged, but asks for an upgrade."""
    client, key = s3.client(), key_of(f"{uri}/champion.json")
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    second[0].promote(second[1], "so that a version is kept of it")
    before = objects.get(f"{uri}/champion.json")[0]
    kept = client.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"][0]["VersionId"]
    client.put_object(Bucket=BUCKET, Key=key, Body=content)
    [finding] = found(second[0])
    newer = b"format" in content
    assert ("is of a newer version of this code, upgrade it" in finding, "put the newest object" in finding) == (
        newer,
        not newer,
    )
    source = f"{BUCKET}/{key}?versionId={kept}"
    copy = ["s3api", "copy-object", "--bucket", BUCKET, "--key", key, "--copy-source", source]
    run(["aws", *copy], command.env)
    assert objects.get(f"{uri}/champion.json")[0] == before
    assert found(second[0]) == []


def test_what_was_deleted_comes_back_in_a_bucket_that_keeps_versions(second, command, uri, s3):  # noqa: F811
    """By deleting the mark of its deletion."""
    client, key = s3.client(), key_of(f"{uri}/models/{second[2]}/{ARCHIVE}")
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}", MetadataDirective="REPLACE")
    client.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(ClientError):
        client.head_object(Bucket=BUCKET, Key=key)
    assert f"{ARCHIVE}: is missing, so this version cannot be pulled" in found(second[0])[0]
    [mark] = client.list_object_versions(Bucket=BUCKET, Prefix=key)["DeleteMarkers"]
    run(
        ["aws", "s3api", "delete-object", "--bucket", BUCKET, "--key", key, "--version-id", mark["VersionId"]],
        command.env,
    )
    assert found(second[0]) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (ARCHIVE, b"cut", "has 3 bytes, and"),
        (ARCHIVE, None, "is missing, so this version cannot be pulled"),
        (ROWS, None, "is missing, so this version cannot be pulled"),
        ("manifest.json", None, "is half published"),
        ("manifest.json", b"{", "damaged ("),
        ("verdict.json", b"{", "damaged ("),
        ("verdict.json", b"{}", "damaged (passed: Field required)"),
    ],
)
def test_each_object_of_a_version_is_looked_at(second, uri, s3, name, content, words):
    """Lost or damaged, in one line; the other version is whole."""
    key = key_of(f"{uri}/models/{second[1]}/{name}")
    if content is None:
        s3.client().delete_object(Bucket=BUCKET, Key=key)
    else:
        s3.client().put_object(Bucket=BUCKET, Key=key, Body=content)
    [finding] = found(second[0])
    assert words in finding
    assert second[1] in finding


def test_a_version_without_its_hashes_leaves_no_entry(second, uri):
    """They are fetched before the entry is made: none is ever there without them."""
    objects.delete([f"{uri}/models/{second[2]}/{ROWS}"])
    with pytest.raises(RegistryError, match="there is no such object"):
        second[0].pull(second[2])
    assert second[2] not in store.versions()


def test_a_damaged_archive_is_published_anew_from_a_local_store(second, command, tmp_path, uri):  # noqa: F811
    """Once its manifest is deleted; another machine then pulls it, verified, and it is champion still."""
    version = second[2]
    (tmp_path / "cut").write_bytes(b"cut")
    objects.upload(tmp_path / "cut", f"{uri}/models/{version}/{ARCHIVE}")
    assert len(found(second[0])) == 1
    run(["aws", "s3", "rm", f"{uri}/models/{version}/manifest.json"], command.env)
    code, result, error = command("publish", version)
    assert (code, result and result["champion"]) == (0, version), error
    assert found(second[0]) == []
    assert Commands(tmp_path / "other", command.env)("pull", "champion")[0] == 0


def test_a_champion_that_is_not_published_is_named(second, s3, uri):
    """Its version was deleted; the way back is the one before."""
    for key in objects.keys(f"{uri}/models/{second[2]}/"):
        objects.delete([key])
    assert any(finding.startswith(f"the champion {second[2]} is not published") for finding in found(second[0]))
    assert second[0].rollback("its files are lost").model_version == second[1]


def test_a_lost_event_ends_the_history_where_it_is_written_anew(second, command, uri):  # noqa: F811
    """By hand, from what the event after it says of it."""
    first, _ = objects.keys(f"{uri}/history/")
    lost = json.loads(objects.get(first)[0])
    objects.delete([first])
    assert "an event of the history is missing" in found(second[0])[0]
    with pytest.raises(RegistryError, match="an event of the history is missing"):
        second[0].rollback("worse")
    known = {name: lost[name] for name in ("model_version", "generation", "event")}
    objects.put(first, {**known, "at": "unknown", "reason": "lost", "previous_version": None, "previous_event": None})
    assert found(second[0]) == []
    assert second[0].rollback("worse").model_version == second[1]


def test_a_pointer_that_was_never_written_is_none_that_was_lost(second, uri):
    """Whoever ended between the first event and the pointer is not kept from trying again."""
    registry, older, _ = second
    objects.delete([f"{uri}/champion.json", objects.keys(f"{uri}/history/")[-1]])
    assert registry.pointer.read() is None
    assert registry.crown_first(older).model_version == older


def test_a_verdict_that_is_damaged_promotes_nobody(second, uri):
    """It is one stated error, not a traceback, and nobody is promoted on it."""
    objects.put(f"{uri}/models/{second[1]}/verdict.json", ["passed"])
    with pytest.raises(DamagedError, match=r"verdict\.json: damaged"):
        second[0].promote(second[1], "unread")


def test_a_lost_local_store_comes_back_from_s3(second, command, tmp_path):  # noqa: F811
    """pull and use; then it is as before, and well."""
    fresh = Commands(tmp_path / "fresh", command.env)
    assert fresh("doctor")[1]["agreement"]["findings"][0].startswith(f"the champion {second[2]} is not in the local")
    assert fresh("pull", "champion")[0] == 0
    assert fresh("use", "champion")[1]["chosen"] == second[2]
    (fresh.home / "fraud_rows" / f"{second[2]}.npy").unlink()
    assert fresh("doctor")[0] == 1
    assert fresh("pull", second[2])[0] == 0
    assert fresh("doctor")[0] == 0


def test_a_copied_folder_is_a_backup(command, tmp_path):  # noqa: F811
    """Models, the hashes of their rows, and the choice: all that is to be kept of BENTOML_HOME."""
    version = command("list")[1]["models"][1]["model_version"]
    assert command("use", version)[0] == 0
    backup, names = tmp_path / "backup", ("models", "fraud_rows", "fraud_chosen")
    run(["tar", "-C", str(command.home), "-cf", str(backup), *names], command.env)
    before = command("doctor", FRAUD_S3_URI="")
    shutil.rmtree(command.home)
    command.home.mkdir()
    subprocess.run(["tar", "-C", command.home, "-xf", backup], check=True)
    assert command("doctor", FRAUD_S3_URI="") == before
    assert (before[0], before[1]["store"]["served"]) == (0, version)
