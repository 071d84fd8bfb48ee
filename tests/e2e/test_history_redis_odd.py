"""What rarely happens to histories in Redis: replies that are cut, servers that change places, two versions."""

import asyncio
import socket
import threading
import time
from contextlib import closing, suppress

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError, ResponseError

from benchmarks.history.wire import Wire
from fraud.errors import HistoryError, RefusedHistoryError
from fraud.history.batch import reader
from fraud.history.keys import bytes_of
from fraud.history.labels import Mark
from fraud.history.layout import layouts
from fraud.history.remote import names
from fraud.history.remote.client import worded
from fraud.history.remote.store import RemoteStore
from fraud.history.store import Store
from monitoring import database
from serving.history import keeper, labels
from tests.components import Redis, wait_until
from tests.e2e.test_history_redis import Worker, redis, server, store, worker_of  # noqa: F401 - fixtures
from tests.fraud.history.test_engine import CARD, SHOP, schema_of
from tests.fraud.history.test_store import LAYOUTS, batch, offline, payments, same
from tests.serving.history.test_labels import Leading, recent
from tests.serving.history.test_labels import offline as with_labels
from tests.serving.history.test_online import SCHEMA as PAYMENTS
from tests.serving.history.test_online import SHOP as SHOPS
from tests.serving.history.test_online import decoded, echo
from tests.serving.history.test_online import offline as of_payments
from training.histories import copying, online

pytestmark = pytest.mark.e2e


def within_a_minute(count):
    """As they come to a service, not as they stand in a file of a month."""
    return decoded(count, at="2024-05-05T10:00:00Z")


class Cut:
    """A way to a server that breaks off in the middle of one long reply, when it is told to."""

    def __init__(self, port):
        self._to, self._here = port, socket.create_server(("127.0.0.1", 0))
        self.port, self.now, self.cuts = self._here.getsockname()[1], False, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                here, _ = self._here.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                for one, other, is_reply in ((here, there, False), (there, here, True)):
                    threading.Thread(target=self._pass_on, args=(one, other, is_reply), daemon=True).start()

    def _pass_on(self, one, other, is_reply):
        with suppress(OSError), one, other:
            while data := one.recv(1 << 16):
                if is_reply and self.now and len(data) > 1000:
                    self.now, self.cuts = False, self.cuts + 1
                    other.sendall(data[:500])
                    other.shutdown(socket.SHUT_RDWR)
                    return
                other.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._here.close()


def test_a_reply_that_is_cut_is_asked_for_again(redis, worker_of):  # noqa: F811
    """The rows were added: they are counted anew as if none of them was, one after another."""
    rows = within_a_minute(120)
    with Cut(redis.port) as way:
        worker = worker_of(f"redis://127.0.0.1:{way.port}/0")
        worker.score(rows[:20])
        worker.loop.run_until_complete(asyncio.sleep(0.1))
        way.now = True
        found = worker.score(rows[20:])
        assert way.cuts == 1
        assert same(found, of_payments(rows)[20:])


def test_one_id_on_two_ways_at_once_gets_the_same(redis, worker_of):  # noqa: F811
    """A caller that sends again before it has an answer, to one worker."""
    rows = within_a_minute(60)
    with Wire(redis.port) as wire:
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0")
        worker.score(rows[:5])

        async def both():
            wire.cut = True
            calls = []
            for _ in range(2):
                calls.append(asyncio.ensure_future(worker.online.score(rows[5:], echo)))
                await asyncio.sleep(0.1)
            wire.cut = False
            return await asyncio.gather(*calls)

        one, other = worker.loop.run_until_complete(both())
        assert one == other
        assert worker.count("added_total") == 60


def test_a_server_that_leads_no_more_is_left(tmp_path, worker_of):  # noqa: F811
    """A failover: the address is another server's now, and the old one only reads."""
    rows = decoded(60)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with Redis(tmp_path / "one") as one, Redis(tmp_path / "other") as other, Wire(one.port) as wire:
        other.client.replicaof("127.0.0.1", one.port)
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0")
        worker.score(rows[:20])
        wait_until(lambda: other.client.dbsize() == one.client.dbsize() > 0)
        worker.loop.run_until_complete(asyncio.sleep(0.1))
        other.client.replicaof("NO", "ONE")
        one.client.replicaof("127.0.0.1", other.port)
        wire._to = other.port
        worker.score(rows[20:30])
        worker.kept()
        worker.kept()
        assert worker.count("pending") == 0
        assert same(worker.score(rows[30:]), of_payments(rows)[30:])


def test_a_call_that_nobody_waits_for_is_added(tmp_path, worker_of):  # noqa: F811
    """Its caller left while Redis was away, and the round trip failed."""
    rows = decoded(20)
    with Redis(tmp_path) as own, Wire(own.port) as wire:
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0")
        worker.score(rows[:5])
        wire.cut = True

        async def gone():
            call = asyncio.ensure_future(worker.online.score(rows[5:], echo))
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.wait([call])

        worker.loop.run_until_complete(gone())
        own.kill()
        wire.cut = False
        wait_until(lambda: [worker.loop.run_until_complete(asyncio.sleep(0.05)), not worker.online._going][1])
        assert worker.count("pending") == 15


def test_an_end_waits_for_no_drip(redis, monkeypatch):  # noqa: F811
    """A server that takes ever so long: what waits is given up, and counted."""
    monkeypatch.setattr(keeper, "DRAIN_SECONDS", 0.2)
    with Wire(redis.port) as wire:
        worker = Worker(f"redis://127.0.0.1:{wire.port}/0", history_deadline_ms=20)
        wire.seconds = 1.5
        worker.keeper._thread.start()
        worker.score(decoded(10))
        worker.keeper.close()
        assert worker.count("dropped_total", reason="shutdown") == 10
        wire.seconds = 0.0
        worker.keeper._thread.join(20)
        wait_until(lambda: [worker.loop.run_until_complete(asyncio.sleep(0.05)), not worker.online._going][1])
        worker.loop.run_until_complete(worker.online._client.aclose())
        worker.loop.close()


def test_what_fails_in_the_middle_leaves_nothing(redis, store):  # noqa: F811
    """Something else stands under an id's name: no state is begun, and a large batch is not half added."""
    many = batch(3_000, seed=1, keys=1)
    redis.client.rpush(store.wire.id_of(many.names[-1]), "a list")
    with pytest.raises(RefusedHistoryError):
        store.add(many)
    assert redis.client.keys("fh:*") == []
    redis.client.delete(store.wire.id_of(many.names[-1]))
    (expected,) = offline([many])
    assert same(store.add(many), expected)


@pytest.mark.parametrize(
    "words",
    [
        "no upstream host",
        "Connection timed out",
        "max number of clients + cluster connections reached",
        "MISCONF Errors writing to the AOF file",
        "user_script:92: Script killed by user with SCRIPT KILL... script: 64cc, on @user_script:92.",
    ],
)
def test_what_passes_is_tried_again(words):
    """What Redis, or a proxy before it, says of a moment: all that waits would be given up."""
    with pytest.raises(HistoryError) as caught, worded("redis://host/0"):
        raise ResponseError(words)
    assert not isinstance(caught.value, RefusedHistoryError)


def test_a_label_counts_once_for_two_versions(redis):  # noqa: F811
    """Of the same windows, so with the same states, one with one more feature."""
    shops = {**SHOP, "of": ["count", "fraud_count"]}
    old, new = (schema_of(CARD, {**shops, "of": of}) for of in (shops["of"], [*shops["of"], "fraud_share"]))
    assert [one.fingerprint for one in layouts(old)] == [one.fingerprint for one in layouts(new)]
    rows, frauds = payments(40, seed=1, keys=2), [row < 8 for row in range(40)]
    with (
        closing(RemoteStore.open(redis.url, layouts(old), "ours")) as first,
        closing(RemoteStore.open(redis.url, layouts(new), "ours")) as second,
    ):
        first.add(reader(old, layouts(old))(*rows))
        assert first.label(reader(old, layouts(old))(*rows), frauds) == 8
        assert second.label(reader(new, layouts(new))(*rows), frauds) == 0
        assert second.label(reader(new, layouts(new))(*rows), [False] * 40) == 8


def test_copies_of_copies_miss_no_labels(store, tmp_path):  # noqa: F811
    """Labels that come after the first are read, however often it was copied: there, back, and there again."""
    with closing(Store.open(f"file://{tmp_path / 'files'}", LAYOUTS, "ours")) as files:
        files.note_labels(dict.fromkeys(files.labels(), Mark(1_700_000_000.0)))
        pairs = copying.pairs(LAYOUTS, LAYOUTS)
        copying.copy(files, store, pairs)
        with closing(Store.open(f"file://{tmp_path / 'back'}", LAYOUTS, "ours")) as back:
            copying.copy(store, back, pairs)
            assert back.labels() == store.labels()
            assert {one.start for one in back.labels().values()} == {1_700_000_000.0}


class LeadingRedis(Leading):
    """Of a store in Redis."""

    def __init__(self, url, engine):
        self.worker, self.engine, self.registry = Worker(url), engine, CollectorRegistry()
        self.keeper = self.worker.keeper
        self.keeper._look_after()
        self.labels = self.made()


@pytest.fixture
def leading(redis, tmp_path, monkeypatch):  # noqa: F811
    """Which looks for late labels at every turn."""
    monkeypatch.setattr(labels, "MOST_SHARE", 1e9)
    engine = database.connect(f"sqlite:///{tmp_path / 'fraud.sqlite'}")
    database.prepare(engine)
    one = LeadingRedis(redis.url, engine)
    yield one
    one.worker.close()
    engine.dispose()


@pytest.fixture
def logged(leading):
    """Transactions that the log has, all of shops."""
    rows = [one for one in recent(30) if one.texts[SHOPS]]
    leading.worker.score(rows)
    leading.log(rows)
    return rows


def test_a_clock_that_jumped_ahead_loses_no_labels(leading, logged, monkeypatch):
    """For a while by a day, also of who writes labels."""
    real = time.time
    leading.label(logged[:5], [True] * 5, at=real() + 86_400)
    with monkeypatch.context() as patch:
        patch.setattr(labels.time, "time", lambda: real() + 86_400)
        assert leading.turn() == {"applied": 5}
    leading.label(logged[5:], [True] * len(logged[5:]))
    assert leading.turn() == {"applied": len(logged) - 5}


def test_labels_that_a_restart_lost_are_applied_again(leading, logged, redis):  # noqa: F811
    """Applied, not yet noted, and Redis came back with what it had a second before."""
    leading.turn()
    saved = {key: (redis.client.dump(key), max(redis.client.pttl(key), 0)) for key in redis.client.scan_iter()}
    leading.label(logged, [True] * len(logged))
    own = leading.keeper.store

    def killed(*_):
        redis.client.flushall()
        for key, (what, left) in saved.items():
            redis.client.restore(key, left, what)
        raise HistoryError("Connection refused")

    own.note_labels = killed
    leading.labels.try_turn()
    del own.note_labels
    leading.labels.try_turn()
    assert leading.states(logged) == with_labels(logged, [True] * len(logged))


def test_who_cannot_reach_it_does_not_lead(redis, worker_of):  # noqa: F811
    """Nor does it think so: another leads by then."""
    with Wire(redis.port) as wire:
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0")
        worker.kept()
        assert worker.keeper.leads
        worker.keeper.store.client.connection_pool.disconnect()
        worker.keeper._looked = 0.0
        wire._to = 1
        worker.kept()
        assert not worker.keeper.leads
        wire._to = redis.port
        worker.keeper._looked = 0.0
        worker.kept()
        assert worker.keeper.leads


def test_a_note_of_labels_that_is_none_is_written_over(store, redis):  # noqa: F811
    """Whatever stands there."""
    for odd in ("abc", "1.0", "\xff"):
        [own] = store.labels()
        redis.client.set(f"fraud:history:labels:{own}", odd)
        assert store.labels() == {own: Mark()}
        assert store.note_labels({own: Mark(3.0)}, unchanged=True)
        assert store.labels() == {own: Mark(3.0)}


def test_a_key_is_forgotten_where_redis_is_full(redis):  # noqa: F811
    """It makes room."""
    given = batch(50, seed=1)
    with closing(RemoteStore.open(redis.url, LAYOUTS, "ours")) as one:
        one.add(given)
    try:
        redis.client.config_set("maxmemory", "1mb")
        with closing(RemoteStore.open(redis.url, LAYOUTS, "ours")) as one:
            assert one.forget_everywhere([key for key in given.keys[0] if key][:1]) == 1
    finally:
        with suppress(RedisError):
            redis.client.config_set("maxmemory", "0")


def test_states_that_come_beside_a_service_count_no_label_twice(leading, logged):
    """It looked for labels in the empty store, and found nothing that they are of; they are in the states that come."""
    own = leading.keeper.store
    at = time.time() - 30
    leading.label(logged, [True] * len(logged), at=at)
    own.client.delete(*own.client.keys("fh:*"))
    leading.labels.try_turn()
    assert leading.states(logged) != with_labels(logged, [True] * len(logged))
    online.hold_labels(own, dict.fromkeys(own.labels(), time.time()))
    keys = [bytes_of(key) for key in dict.fromkeys(one.texts[SHOPS] for one in logged)]
    held = with_labels(logged, [True] * len(logged))
    own.begin(layouts(PAYMENTS)[1], keys, held, 0)
    for _ in range(3):
        leading.labels.try_turn()
    assert leading.states(logged) == held


def test_of_labels_that_are_refused_all_others_count(leading, logged, redis):  # noqa: F811
    """Something else stands where the state of one key was."""
    key = bytes_of(logged[3].texts[SHOPS])
    name = names.state_name(layouts(PAYMENTS)[1], key)
    redis.client.delete(name)
    redis.client.rpush(name, "a list")
    leading.label(logged, [True] * len(logged))
    bad = sum(one.texts[SHOPS] == logged[3].texts[SHOPS] for one in logged)
    assert leading.turn() == {"applied": len(logged) - bad, "refused": bad}
