"""The address of the database: taken where it is clear, and else refused in words that show nothing of it."""

from urllib.parse import quote

import pytest

from fraud.errors import SettingsError
from fraud.settings import Settings
from monitoring.storage import address
from serving.start import introduction

PASSWORDS = [
    first + sign + last
    for sign in ("@", ":", "/", "?", "#", "%", " ", "@@", "@:", "@/", "/@", "?@", ":@", "#@", "%41", "@h:5432/", "]@[")
    for first, last in [("Geheim1", "Geheim2"), ("", "Geheim2"), ("Geheim1", "")]
]


def of(password):
    return f"postgresql://me:{password}@db.example:5432/fraud"


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_written_in_percent_is_taken(password):
    """Whatever it holds."""
    taken = address.check(of(quote(password, safe="")))
    assert (taken.password, taken.host, taken.port, taken.database) == (password, "db.example", 5432, "fraud")


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("tail", ["db.example/fraud", "db.example", "/fraud", "db.example/fraud?sslmode=require"])
def test_a_password_written_as_it_is_is_taken_whole_or_refused(password, tail):
    """No part of it is taken for a host or a database, which the log would show."""
    url = f"postgresql://me:{password}@{tail}"
    try:
        taken = address.check(url)
    except SettingsError as error:
        assert "Geheim" not in str(error)
        assert "percent (%40 is @)" in str(error)
    else:
        assert "Geheim" not in f"{taken.host} {taken.database} {taken.port} {taken.query}"
        assert "Geheim" not in introduction.database(url)


@pytest.mark.parametrize("sign", ["@", "@x@", "@:", "@?"])
def test_an_unclear_one_ends_the_start(sign):
    """In one line."""
    with pytest.raises(SettingsError, match=r"^FRAUD_DATABASE_URL is no address of a database: ") as caught:
        address.check(of(f"one{sign}two"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a/Geheim1:Geheim2@db/fraud",
        "postgresql://Geheim1?x:Geheim2@db/fraud",
        "postgresql://db?user=me&password=Geheim1@Geheim2",
        "postgresql://db/fraud?password=Geheim1@Geheim2",
        "postgresql://me:pw@db:Geheim1/fraud",
        "postgresql://me:pw@db/fraud#Geheim1",
        "postgresql://me:pw@db Geheim1/fraud",
        "postgresql+psycopg://me:Geheim1@Geheim2@db/fraud",
        "postgresql://[Geheim1]/fraud",
        "Geheim1",
    ],
)
def test_other_addresses_that_are_unclear_are_refused(url):
    """Wherever the sign stands."""
    with pytest.raises(SettingsError) as caught:
        address.check(url)
    assert "Geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://me@db/fraud", "db"),
        ("postgresql+psycopg://me:pw@10.0.0.1:5432/fraud?sslmode=verify-full&sslrootcert=/etc/ca.pem", "10.0.0.1"),
        ("postgresql://me:pw@[::1]:5432/fraud", "::1"),
        ("postgresql://me:pw@[fe80::1%eth0]/fraud", "fe80::1%eth0"),
        ("postgresql://me:pw@one.example,two_2/fraud", "one.example,two_2"),
        ("postgresql://me:pw@/fraud?host=/var/run/postgresql", None),
        ("postgresql:///fraud", None),
        ("postgresql://me:pw@db/my-data.base", "db"),
        ("postgresql://me%40corp:pw@db/fraud", "db"),
        ("sqlite:////data/a@b:c.sqlite", None),
        ("sqlite://", None),
    ],
)
def test_what_is_clear_is_taken(url, host):
    """Hosts by name, by address, several, or a socket; SQLite's path may hold anything."""
    assert address.check(url).host == host


def test_the_line_of_the_start_shows_where_it_is():
    """And neither user nor password."""
    assert introduction.database(of("secret")) == "database postgresql fraud at db.example"


def test_a_line_break_after_the_url_is_none_of_it():
    """As files of secrets end."""
    url = Settings.from_env({"FRAUD_DATABASE_URL": f"{of('pw')}\n"}).database_url
    assert address.check(url).database == "fraud"
