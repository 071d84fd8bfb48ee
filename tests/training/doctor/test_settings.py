"""Each setting is read by itself: what is wrong with one hides no other."""

import pytest

from fraud.settings import Settings
from training.doctor import settings
from training.doctor.part import Part

SECRET = "s" * 32


def look(**environ):
    part = Part("settings")
    return part, *settings.look(part, environ)


def test_bad_ones_are_named_and_the_others_are_used():
    """One finding each; a process that is started gets the good ones alone."""
    part, usable, clean = look(PATH="/bin", FRAUD_NOPE="1", FRAUD_WORKERS="none", FRAUD_S3_URI="s3://bucket/fraud")
    assert [finding.partition(" ")[0] for finding in part.findings] == ["FRAUD_NOPE", "FRAUD_WORKERS='none':"]
    assert usable == Settings(s3_uri="s3://bucket/fraud")
    assert clean == {"PATH": "/bin", "FRAUD_S3_URI": "s3://bucket/fraud"}
    assert part.facts == {"set": ["FRAUD_S3_URI"]}


@pytest.mark.parametrize("content", [None, "", "short"])
def test_a_secret_that_cannot_be_read_is_named_and_not_shown(tmp_path, content):
    """A file that is not there, is empty, or holds something else."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)
    part, usable, _ = look(FRAUD_KEY_SECRET_FILE=str(path), FRAUD_MODEL="fraud_detector:a")
    [finding] = part.findings
    assert finding.startswith("FRAUD_KEY_SECRET")
    assert "short" not in finding
    assert usable == Settings(model="fraud_detector:a")


def test_a_secret_set_in_both_ways_is_one_finding(tmp_path):
    """The first is used."""
    (tmp_path / "secret").write_text(SECRET)
    part, usable, _ = look(FRAUD_KEY_SECRET=SECRET, FRAUD_KEY_SECRET_FILE=str(tmp_path / "secret"))
    assert part.findings == ["FRAUD_KEY_SECRET and FRAUD_KEY_SECRET_FILE are both set: leave one out"]
    assert usable == Settings(key_secret=SECRET)


def test_variables_of_kubernetes_are_none_of_ours():
    """Those of a Service whose name begins with fraud."""
    part, _, clean = look(FRAUD_DB_SERVICE_HOST="10.0.0.1", FRAUD_DB_PORT="tcp://10.0.0.1:5432")
    assert (part.findings, clean) == ([], {})


def test_a_schema_file_that_is_none_is_named(tmp_path):
    """Where FRAUD_SCHEMA leads to."""
    path = tmp_path / "own.toml"
    path.write_text("[[[")
    [finding] = look(FRAUD_SCHEMA=str(path))[0].findings
    assert finding.startswith(f"{path}: not TOML")
