"""What ``python -m training doctor`` sees of histories in Redis: as the service's user, and without a word written."""

import json

import pytest

from fraud.history.remote.store import RemoteStore
from fraud.settings import Settings
from tests.components import Redis, free_port
from tests.e2e.test_history_redis_access import AMPLE, as_user, client, users
from tests.fraud.history.test_store import LAYOUTS
from training.doctor import histories
from training.doctor.part import Part, bounded

pytestmark = pytest.mark.e2e


def seen(url):
    """A part, all of which can be printed."""
    part = bounded(Part("histories"), lambda part: histories.look(part, Settings(history_url=url)), 30)
    assert "password" not in json.dumps(part.as_dict())
    return part


def content(server):
    return [(name, server.client.dump(name)) for name in sorted(server.client.keys())]


def test_whose_it_is_and_of_which_histories(tmp_path):
    """Before there is a store, and then; nothing is written."""
    with Redis(tmp_path, "--maxmemory", AMPLE) as server:
        part = seen(server.url)
        assert (part.findings, part.facts["key_fingerprint"], part.facts["layouts"]) == ([], None, [])
        assert content(server) == []
        RemoteStore.open(server.url, LAYOUTS, "ours").close()
        before = content(server)
        part = seen(server.url)
        assert (part.findings, part.facts["key_fingerprint"]) == ([], "ours")
        assert part.facts["layouts"] == sorted(one.fingerprint for one in LAYOUTS)
        assert 0 < part.facts["bytes"] < part.facts["bytes_allowed"] == int(AMPLE)
        assert content(server) == before
        server.client.set("fraud:history", "else")
        [finding] = seen(server.url).findings
        assert "fraud:history is not of histories: name another database of Redis" in finding


def test_the_service_user_needs_no_more_rights_for_it(tmp_path):
    """By the shipped file of users."""
    with Redis(tmp_path, *users(tmp_path)) as server:
        RemoteStore.open(as_user(server), LAYOUTS, "ours").close()
        assert seen(as_user(server)).findings == []
        assert client(server).acl_log() == []


def test_a_server_that_is_nearly_full_and_forgets_is_told_of_twice(tmp_path):
    """That states may leave, and that there is hardly room."""
    with Redis(tmp_path, "--maxmemory", "900kb", "--maxmemory-policy", "allkeys-lru") as server:
        policy, full = seen(server.url).findings
    assert "maxmemory-policy is allkeys-lru" in policy
    assert "of 921600 bytes are used: raise its maxmemory" in full


def test_a_server_that_is_away_is_told_of():
    """By its address; nothing is said of what it may hold."""
    url = f"redis://:a-password@127.0.0.1:{free_port()}/0"
    part = seen(url)
    [finding] = part.findings
    assert finding.startswith(url.replace(":a-password@", "") + ": ")
    assert "layouts" not in part.facts


def test_a_cluster_is_told_of(tmp_path):
    """A batch would be of several servers."""
    with Redis(tmp_path, "--cluster-enabled", "yes") as server:
        [finding] = seen(server.url).findings
    assert "is a Redis Cluster" in finding
