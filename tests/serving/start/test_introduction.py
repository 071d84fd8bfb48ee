"""The line that a service says when it starts."""

import pytest

from fraud import store
from fraud.manifest import Manifest
from fraud.schema import parse
from fraud.settings import Settings
from serving.start.introduction import introduction
from tests import histories
from tests.manifests import document


class Model:
    tag = "fraud_detector:abc"

    def path_of(self, name):
        return f"/nowhere/{name}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {},
            ["2 workers", "no keys: whoever reaches the port may score; metrics open; no database", "at most 1000 ms"],
        ),
        ({"api_keys": f"{'0' * 64},{'1' * 64}", "metrics_keys": "2" * 64}, ["2 keys; 1 keys for metrics"]),
        ({"database_url": "sqlite:////data/f.db"}, ["database sqlite /data/f.db;"]),
        ({"database_url": "postgresql://me:secret@db.example/fraud?sslpassword=hidden"}, ["fraud at db.example;"]),
    ],
    ids=["nothing", "keys", "sqlite", "postgres"],
)
def test_a_start_says_what_is_served_to_whom(given, words):
    """In one line without secrets; what cannot be served is said too."""

    said = introduction(Settings(**given), Model())
    assert said.startswith("serving fraud_detector:abc, not sound: ")
    assert all(one in said for one in words)
    assert "secret" not in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("url", "said_of_it"),
    [
        ("file:///data/histories", "file:///data/histories"),
        (None, "file://{}/fraud_history/store"),
        ("rediss://me:secret@cache.example:6380/2?ssl_keyfile=/hidden", "rediss://cache.example:6380/2"),
        ("unix://me:secret@/run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_start_says_where_histories_are(monkeypatch, tmp_path, url, said_of_it):
    """By the setting, or where they are without it: a wrong folder is an empty store. A password is not said."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    own = Manifest(**document(transaction_schema=parse(histories.SCHEMA, "payments.toml").document()))
    monkeypatch.setattr(store, "read_manifest", lambda _: own)
    said = introduction(Settings(history_url=url, key_secret=histories.SECRET), Model())
    assert f", histories in {said_of_it.format(tmp_path)}, " in said
    assert not any(one in said for one in ("secret@", "hidden"))
