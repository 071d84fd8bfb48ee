"""Who changed the champion: what the environment says of it."""

import getpass

import pytest

from fraud.remote import actor

GITHUB = {"GITHUB_ACTOR": "octocat", "GITHUB_REPOSITORY": "owner/repo", "GITHUB_RUN_ID": "42"}


@pytest.mark.parametrize(
    ("variables", "who"),
    [
        (GITHUB, "octocat, owner/repo/actions/runs/42"),
        (GITHUB | {"FRAUD_ACTOR": "risk"}, "risk"),
        ({"LOGNAME": "ann"}, "ann@host"),
    ],
    ids=["workflow", "named", "by hand"],
)
def test_who_it_is(monkeypatch, variables, who):
    """A name that is set, else the run of a workflow, else the user and the machine."""
    monkeypatch.delenv("GITHUB_ACTOR", raising=False)
    monkeypatch.setattr(actor.socket, "gethostname", lambda: "host")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert actor.actor() == who


def test_a_user_without_a_name_is_a_number(monkeypatch):
    """As in a container, where no account has the number."""

    def nobody():
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("GITHUB_ACTOR", raising=False)
    assert actor.actor().split("@")[0].isdecimal()
