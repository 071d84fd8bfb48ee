"""The bucket's verbs and protections, as far as no server is needed."""

import argparse
import io
import json

import pytest
from botocore.exceptions import ClientError

from fraud import command
from fraud.errors import RegistryError
from training.aws import protections
from training.aws.bucket import Contents
from training.aws.iam import access, trust
from training.console import Steps
from training.verbs import bucket


def parser():
    made = argparse.ArgumentParser()
    bucket.add_to(made.add_subparsers(required=True))
    return made


def call(capsys, *arguments):
    """Exit code, parsed stdout (None when empty) and stderr of ``bucket ARGUMENTS``."""
    code = command.main(parser(), ["bucket", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def failing(code):
    def call():
        raise ClientError({"Error": {"Code": code}}, "PutSomething")

    return call


def test_the_policy_verb_prints_the_policy_of_the_place_in_use(capsys, monkeypatch):
    """For FRAUD_S3_URI, to be given to AWS as it is."""
    monkeypatch.setenv("FRAUD_S3_URI", "s3://cards/fraud/")
    assert call(capsys, "policy") == (0, access("s3://cards/fraud"), "")
    assert call(capsys, "policy", "--read-only")[1] == access("s3://cards/fraud", read_only=True)


def test_the_trust_verb_says_what_is_still_missing(capsys):
    """Without account and numbers the document comes all the same, and stderr says what to do about it."""
    code, document, said = call(capsys, "trust", "--repository", "octo-org/octo-repo")
    assert (code, document) == (0, trust("octo-org/octo-repo", account="ACCOUNT_ID"))
    assert "no --account" in said
    assert "without --owner-id" in said
    given = ("--branch", "live", "--account", "123456789012", "--owner-id", "11", "--repository-id", "22")
    code, document, said = call(capsys, "trust", "--repository", "octo-org/octo-repo", *given)
    assert (code, said) == (0, "")
    assert document == trust("octo-org/octo-repo", "live", "123456789012", ("11", "22"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["trust"],
        ["trust", "--repository", "octo-repo"],
        ["trust", "--repository", "octo-org/*"],
        ["trust", "--repository", "a/b", "--account", "12"],
        ["trust", "--repository", "a/b", "--owner-id", "x", "--repository-id", "1"],
        ["trust", "--repository", "a/b", "--owner-id", "1"],
        ["trust", "--repository", "a/b", "--repository-id", "1"],
        ["create", "--noncurrent-days", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    """Half a pair of numbers is wrong usage too."""
    with pytest.raises(SystemExit) as ended:
        command.main(parser(), ["bucket", *arguments])
    assert ended.value.code == 2


@pytest.mark.parametrize("verb", ["create", "policy", "destroy"])
def test_without_a_place_nothing_is_done(capsys, verb):
    """A missing FRAUD_S3_URI is a stated error."""
    code, result, said = call(capsys, verb)
    assert (code, result) == (1, None)
    assert "FRAUD_S3_URI is not set" in said


@pytest.mark.parametrize("verb", ["create", "policy", "trust", "destroy"])
def test_help_shows_examples(capsys, verb):
    """Every verb's help ends with commands to copy."""
    with pytest.raises(SystemExit):
        command.main(parser(), ["bucket", verb, "--help"])
    assert f"python -m training bucket {verb}" in capsys.readouterr().out.partition("examples:")[2]


@pytest.fixture
def terminal(monkeypatch):
    """Gives stdin the text that a person types."""

    def types(text):
        typed = io.StringIO(text)
        typed.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", typed)

    return types


FOUND = Contents("cards", 12, 3, 1, ())


def test_the_buckets_name_typed_is_agreement(terminal, capsys):
    """It is said what goes, on stderr, and the name lets it go."""
    terminal("cards\n")
    bucket._ask(FOUND, Steps())
    said = capsys.readouterr()
    assert "s3://cards for good: 12 versions, 3 delete markers, 1 unfinished uploads" in said.err
    assert said.out == ""


@pytest.mark.parametrize("typed", ["", "\n", "yes\n", "card\n", "CARDS\n"])
def test_anything_else_typed_stops_it(terminal, typed):
    """Also an empty line and the end of input."""
    terminal(typed)
    with pytest.raises(RegistryError, match="nothing was deleted"):
        bucket._ask(FOUND, Steps())


def test_without_a_terminal_it_is_not_deleted_unasked(monkeypatch):
    """A workflow has to say --yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("cards\n"))
    with pytest.raises(RegistryError, match="--yes"):
        bucket._ask(FOUND, Steps())


def test_news_of_a_long_deletion_comes_every_few_seconds(capsys, monkeypatch):
    """Not once a page, and on stderr."""
    clock = iter(range(0, 100, 1))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = bucket._news(Steps())
    for gone in (1000, 2000, 3000):
        progress(gone)
    assert capsys.readouterr().err.split("\n") == ["  3000 gone ...", ""]


def test_a_protection_that_holds_is_left_alone():
    """Nothing is applied, so a stricter setting of somebody else stays."""
    assert protections._ensure(lambda: True, lambda: pytest.fail("applied")) is None


def test_a_protection_is_read_back(monkeypatch):
    """S3 may show the old setting for a moment; a server that never shows the new one does not keep it."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    seen = iter([False, False, True])
    assert protections._ensure(lambda: next(seen), lambda: None) is None
    assert protections._ensure(lambda: False, lambda: None) == "the server accepts it and does not keep it"


@pytest.mark.parametrize("code", ["NotImplemented", "MethodNotAllowed", "501", "405"])
def test_a_protection_that_the_server_lacks_is_named(code):
    """Whether reading or setting it says so."""
    named = f"the server does not implement it ({code})"
    assert protections._ensure(failing(code), lambda: None) == named
    assert protections._ensure(lambda: False, failing(code)) == named


def test_other_failures_are_no_missing_protection():
    """An administrator's missing right is an error, not something that --allow-missing may wave through."""
    with pytest.raises(ClientError):
        protections._ensure(lambda: False, failing("AccessDenied"))
