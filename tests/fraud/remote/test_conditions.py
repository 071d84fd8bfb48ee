"""Conditional writes are proved by racing; servers of every kind are in memory here, real ones in tests/e2e."""

import itertools
import threading

import pytest

from fraud.errors import ConflictError, RegistryError, UnsupportedError
from fraud.remote import conditions

URI = "s3://cards/fraud"


class Server:
    """Holds both conditions, but those in ``ignores``; ``early`` looks at them before any of the writers writes."""

    def __init__(self, *ignores, early=False):
        self.ignores, self.objects, self.etags = ignores, {}, map(str, itertools.count())
        self.lock, self.all_looked = threading.Lock(), threading.Barrier(conditions.WRITERS) if early else None

    def put(self, uri, _, *, new=False, replacing=None):
        with self.lock:
            refused = self.refuses(uri, new, replacing)
        if self.all_looked:
            self.all_looked.wait(5)
        with self.lock:
            if refused or (not self.all_looked and self.refuses(uri, new, replacing)):
                raise ConflictError("somebody else was first")
            self.objects[uri] = next(self.etags)

    def refuses(self, uri, new, replacing):
        taken = new and uri in self.objects and "If-None-Match" not in self.ignores
        return taken or (replacing and self.objects.get(uri) != replacing and "If-Match" not in self.ignores)


@pytest.fixture
def use(monkeypatch):
    """Put a server in the place of S3."""

    def put_in_place(server):
        monkeypatch.setattr(conditions.s3, "put", server.put)
        monkeypatch.setattr(conditions.s3, "get", lambda uri: (b"", server.objects[uri]))
        monkeypatch.setattr(conditions.s3, "delete", lambda uris: [server.objects.pop(uri) for uri in uris])
        return server

    return put_in_place


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (Server(), None),
        (Server("If-None-Match"), "If-None-Match: 4 of 4 writers at once won, expected 1"),
        (Server("If-Match"), "If-Match: 4 of 4 writers at once won, expected 1"),
        (Server("If-Match", "If-None-Match"), "If-None-Match: 4 of 4 writers at once won, expected 1"),
        (Server(early=True), "If-None-Match: 4 of 4 writers at once won, expected 1"),
    ],
)
def test_each_way_not_to_hold_conditions_is_found(use, server, problem):
    """Either header ignored, or looked at too early; and the object that was raced for is gone."""
    use(server)
    assert conditions.find_problem(URI) == problem
    assert server.objects == {}


def test_a_server_that_says_that_it_has_none_is_believed(use, monkeypatch):
    """Its words are the problem, and promoting is refused with what would happen."""
    use(Server())

    def refuse(*_, **__):
        raise UnsupportedError("NotImplemented")

    monkeypatch.setattr(conditions.s3, "put", refuse)
    monkeypatch.setattr(conditions.s3, "delete", lambda _: None)
    assert conditions.find_problem(URI) == "NotImplemented"
    with pytest.raises(UnsupportedError, match=r"\(NotImplemented\): two promotions at once could both win"):
        conditions.require(URI)


def test_who_may_not_delete_may_promote(use, monkeypatch, caplog):
    """The trial object is then named and left behind."""

    def forbidden(_):
        raise RegistryError("access denied")

    use(Server())
    monkeypatch.setattr(conditions.s3, "delete", forbidden)
    conditions.require(URI)
    assert "left behind: access denied" in caplog.text


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_an_answer_that_was_lost_is_no_fault(use, monkeypatch, header):
    """boto3 asks again and meets its own write, so that nobody wins: a sound server is raced on once more."""
    server, lost = use(Server()), []

    def put(uri, document, *, new=False, replacing=None):
        server.put(uri, document, new=new, replacing=replacing)
        if not lost and (header == "If-None-Match") == new:
            lost.append(uri)
            raise ConflictError("its own write")

    monkeypatch.setattr(conditions.s3, "put", put)
    assert conditions.find_problem(URI) is None
    assert len(lost) == 1
    assert server.objects == {}
