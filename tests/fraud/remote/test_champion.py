"""The history as a chain; who wins a race on a real server is in tests/e2e/test_registry.py."""

import json
import threading

import pytest

from fraud.errors import ConflictError, RegistryError
from fraud.remote import champion, s3
from fraud.remote.champion import Pointer

URI = "s3://cards/fraud"
POINTER = f"{URI}/champion.json"


class Bucket:
    """Objects in memory; ``asked`` notes which were read, in threads ``threads``."""

    def __init__(self):
        self.objects, self.asked, self.threads = {}, [], set()

    def get(self, uri):
        self.asked.append(uri)
        self.threads.add(threading.get_ident())
        return (self.objects[uri], "etag") if uri in self.objects else None

    def put(self, uri, document, **_):
        self.objects[uri] = json.dumps(document).encode()

    def keys(self, uri):
        return sorted(key for key in self.objects if key.startswith(uri))


@pytest.fixture
def bucket(monkeypatch):
    """In the place of S3, which holds conditional writes."""
    made = Bucket()
    for name in ("get", "put", "keys"):
        monkeypatch.setattr(s3, name, getattr(made, name))
    monkeypatch.setattr(champion.conditions, "require", lambda _: None)
    return made


@pytest.fixture
def pointer(bucket):
    """With thirty champions, one after the other."""
    made = Pointer(URI)
    for number in range(30):
        made.crown(f"model{number}", made.read(), "better")
    bucket.asked.clear()
    bucket.threads.clear()
    return made


def test_the_history_is_read_at_once(bucket, pointer):
    """Newest first, by several threads, each event once."""
    assert [event.model_version for event in pointer.history()] == [f"model{n}" for n in reversed(range(30))]
    assert len(bucket.asked) == len(set(bucket.asked)) == 30
    assert len(bucket.threads) > 1


def test_the_history_may_end_early(bucket, pointer):
    """Then no older event is read."""
    assert [event.generation for event in pointer.history(since=28)] == [30, 29, 28]
    assert len(bucket.asked) == 3


def test_the_chain_alone_is_trusted(bucket, pointer):
    """A lost race, even a damaged one, and files of others beside the events are no history."""
    known = pointer.history()
    bucket.put(f"{URI}/history/000012-lost.json", known[0].model_dump())
    bucket.objects[f"{URI}/history/000013-damaged.json"] = b"{"
    bucket.objects[f"{URI}/history/README.md"] = b"# Who was champion"
    assert pointer.history() == known


def test_an_event_that_is_listed_late_is_found(bucket, pointer, monkeypatch):
    """Not every server lists at once what was written."""
    known = pointer.history()
    monkeypatch.setattr(s3, "keys", lambda uri: bucket.keys(uri)[:-5])
    assert pointer.history() == known


def test_a_missing_event_is_named(bucket, pointer):
    """A history with a hole is no history."""
    hole = bucket.keys(f"{URI}/history/")[4]
    del bucket.objects[hole]
    with pytest.raises(RegistryError, match=f"{hole}: an event of the history is missing"):
        pointer.history()


def test_who_lost_a_race_reads_no_old_history(bucket, pointer, monkeypatch):
    """Whether an own write was met again is seen from the events since."""

    def lose(uri, document, **_):
        if uri == POINTER:
            raise ConflictError("somebody else was first")
        bucket.objects[uri] = json.dumps(document).encode()

    standing = pointer.read()
    pointer.crown("quicker", standing, "better")
    bucket.asked.clear()
    monkeypatch.setattr(s3, "put", lose)
    with pytest.raises(ConflictError):
        pointer.crown("late", standing, "better")
    assert bucket.asked == [POINTER]


def test_a_champion_of_before_is_proved_again_and_read_as_it_is(bucket, pointer, monkeypatch):
    """Its document does not say where conditional writes were proved; the next one does."""
    document = json.loads(bucket.objects[POINTER])
    del document["proved_at"]
    bucket.put(POINTER, document | {"of_newer_code": 1})
    proved = []
    monkeypatch.setattr(champion.conditions, "require", proved.append)
    for version in ("next", "last"):
        assert pointer.crown(version, pointer.read(), "better").proved_at == s3.client().meta.endpoint_url
    assert proved == [URI]
