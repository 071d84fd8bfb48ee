"""Histories in a real Redis: the same as the engine's, each transaction added once, never in the way of an answer."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import closing

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from benchmarks.history.wire import Wire
from fraud.errors import DamagedHistoryError, FullHistoryError, HistoryError, RefusedHistoryError
from fraud.history import engine
from fraud.history.batch import reader
from fraud.history.keys import bytes_of
from fraud.history.labels import Mark
from fraud.history.layout import layouts
from fraud.history.remote import names
from fraud.history.remote.store import RemoteStore
from fraud.history.store import Store
from fraud.rows import unpack
from fraud.settings import Settings
from monitoring.history_metrics import HistoryMetrics
from serving.history.remote import OnlineRemote
from tests.components import Redis, free_port, wait_until
from tests.fraud.history.test_engine import SHOP, schema_of
from tests.fraud.history.test_store import HASHED, LAYOUTS, batch, offline, same
from tests.serving.history.test_online import CARD, HASHER, decoded, echo
from tests.serving.history.test_online import SCHEMA as PAYMENTS
from tests.serving.history.test_online import offline as of_payments
from training.histories import copying

pytestmark = pytest.mark.e2e

SIZES = (1, 7, 64, 2, 200, 1, 33, 300)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(server):
    """The module's server, empty."""
    server.client.flushall()
    return server


@pytest.fixture
def store(redis):
    store = RemoteStore.open(redis.url, LAYOUTS, "ours")
    yield store
    store.close()


def odd(given):
    """With late rows, and values and times that are as far away as they may be."""
    given.times[3::7] -= 40 * 86_400 * 10**6
    given.values[0][1::5] = 10**12
    given.times[-1] = -(2**53) + 5
    return given


def test_features_are_those_of_the_engine(store):
    """Whatever the batches; rows without a key, late ones and large sums are among them."""
    given = [batch(size, seed=seed, keys=25) for seed, size in enumerate(SIZES)]
    given[2], given[4] = odd(given[2]), odd(given[4])
    for one, expected in zip(given, offline(given), strict=True):
        assert same(store.add(one), expected)
    assert store.added == sum(SIZES)


def test_states_are_those_of_the_engine(store):
    """Byte for byte, in whatever order transactions came."""
    given = [batch(size, seed=seed, keys=25) for seed, size in enumerate(SIZES)]
    for one in reversed(given):
        store.add(one)
    for layout, number in zip(LAYOUTS, (0, 1), strict=True):
        keys = sorted({key for one in given for key in one.keys[number] if key})
        states = np.zeros(len(keys) * layout.size, np.uint8)
        for one in given:
            places = np.array([-1 if key is None else keys.index(key) for key in one.keys[number]])
            engine.advance(layout, states, places, one.times, one.values[number])
        assert b"".join(store.states(layout, keys)) == states.tobytes()


def test_what_is_sent_again_gets_the_same_and_adds_nothing(store):
    """In another batch, in one batch, and when others added meanwhile."""
    first = batch(50, seed=1)
    found = store.add(first)
    store.add(batch(50, seed=2))
    assert same(store.add(first), found)
    twice = batch(4, seed=3, names=["a", "b", "a", "c"])
    own = store.add(twice)
    assert same(own[2], own[0])
    assert store.added == 103


@pytest.mark.parametrize("later", [0, 30])
def test_an_answer_that_was_lost_is_counted_again(store, later):
    """Of who was killed between the adding and the noting of what it gave: the windows as they are without it."""
    before, lost = batch(60, seed=1, keys=20), batch(40, seed=2, keys=20, start=1_700_060_000)
    expected = list(offline([before, lost]))[1]
    store.add(before)
    last = lost.only([39])
    store.add(lost.only(range(39)))
    store.remember = lambda _: None
    store.add(last)
    del store.remember
    if later:  # of other keys
        store.add(batch(later, seed=3, keys=20, start=1_700_200_000)._replace(keys=[[b"\1" * 16] * later] * 2))
    assert same(store.add(last), expected[39:])
    assert same(store.add(last), expected[39:])
    assert store.added == 100 + later


def test_a_batch_of_one_key_is_as_large_as_you_like(store):
    """A script's arguments have an end."""
    many = batch(3_000, seed=1, keys=1)
    (expected,) = offline([many])
    assert same(store.add(many), expected)


def test_a_pause_of_thousands_of_buckets(redis):
    """All of them are to be cleared at once."""
    schema = schema_of(SHOP | {"windows": ["1h"], "label_delay": "7d"})
    own = layouts(schema)
    store, read = RemoteStore.open(redis.url, own, "ours"), reader(schema, own)
    rows = np.array([[1_700_000_000 + 149 * row, 1.0] for row in range(3_000)] + [[1_700_600_000, 2.0]] * 2)
    texts, names = [(None, HASHED("s1"))] * 3_002, [str(row) for row in range(3_002)]
    given = [read(rows[cut], texts[cut], names[cut]) for cut in (slice(0, 2_990), slice(2_990, 3_002))]
    states = np.zeros(own[0].size, np.uint8)
    for one in given:
        expected = engine.advance(own[0], states, np.zeros(len(one.times), np.int64), one.times, one.values[0])
        assert same(store.add(one), expected)
    store.close()


def test_an_id_that_is_noted_stays_so(store, redis):
    """Whoever notes something else later was late."""
    one = batch(1, seed=1)
    found = store.add(one)
    store._remember(keys=[store.wire.id_of(one.names[0])], args=[b"other"])
    assert same(store.add(one), found)


def test_a_store_that_was_copied_does_not_count_labels_again(store, redis, tmp_path):
    """They are in its states: only those that come later are read."""
    with closing(Store.open(f"file://{tmp_path / 'files'}", LAYOUTS, "ours")) as other:
        other.note_labels(dict.fromkeys(other.labels(), Mark(1_700_000_000.0)))
        with other.gate.held(1):
            other.add(batch(3))
        copying.copy(other, store, copying.pairs(LAYOUTS, LAYOUTS))
    assert [*store.labels().values()] == [Mark(1_700_000_000.0, 1_700_000_000.0)]


def test_a_note_is_taken_where_nobody_wrote_another(store):
    """Of `warm`, which wants labels to be read from an earlier time."""
    five, six, seven = (dict.fromkeys(store.labels(), Mark(at)) for at in (5.0, 6.5, 7.0))
    assert store.note_labels(five, unchanged=True)
    with closing(RemoteStore.open(store.url, LAYOUTS, "ours")) as other:
        other.note_labels(six)
    assert not store.note_labels(seven, unchanged=True)
    assert store.labels() == six
    written = store.client.info("commandstats")["cmdstat_set"]["calls"]
    assert store.note_labels(seven, unchanged=True)
    assert store.client.info("commandstats")["cmdstat_set"]["calls"] - written == len(seven)  # in one step, and once
    assert store.labels() == seven


def test_what_is_refused_for_good_says_so(store, redis):
    """Something else stands under a state's name: it would be the same each time."""
    one = batch(1, seed=1)
    place = next(place for place, own in enumerate(LAYOUTS) if own.delay_us >= 0)
    redis.client.rpush(names.state_name(LAYOUTS[place], one.keys[place][0]), "a list")
    with pytest.raises(RefusedHistoryError, match="WRONGTYPE"):
        store.add(one)
    with pytest.raises(RefusedHistoryError, match="WRONGTYPE"):
        store.label(one, [True])


def test_a_database_of_something_else_is_refused(redis):
    """Whatever stands where a store says what it is."""
    for facts in (b"[]", b"not JSON", b"null", b"{}", b'{"format": 1}'):
        redis.client.set(names.FACTS, facts)
        with pytest.raises(HistoryError, match="name another database"):
            RemoteStore.open(redis.url, LAYOUTS, "ours")
    redis.client.set(names.FACTS, b'{"format": 2, "key_fingerprint": "ours"}')
    with pytest.raises(HistoryError, match="histories of format 2, this code has 1"):
        RemoteStore.open(redis.url, LAYOUTS, "ours")


def test_who_led_lets_another_lead(redis):
    """When it ends; before, nobody else does."""
    one, other = (RemoteStore.open(redis.url, LAYOUTS, "ours") for _ in range(2))
    assert (one.lead(), other.lead(), one.lead()) == (True, False, True)
    one.close()
    assert other.lead()
    other.close()


def test_a_state_leaves_when_it_says_nothing_any_more(store, redis):
    """Two days after the longest window; ids sooner; nothing else stays."""
    one = batch(20, seed=1)
    store.add(one)
    for layout, keys in zip(LAYOUTS, one.keys, strict=True):
        left = redis.client.pttl(names.state_name(layout, next(filter(None, keys))))
        assert 0 < left - layout.keep_us // 1000 <= 2 * 86_400_000
    assert 0 < redis.client.pttl(store.wire.id_of(one.names[0])) <= 600_000
    kept = [key for key in redis.client.scan_iter() if redis.client.pttl(key) < 0]
    assert sorted(kept) == [names.FACTS, names.LAYOUTS]


def test_a_store_of_another_secret_is_refused(store, redis):
    """Both are named, and no password is."""
    with pytest.raises(HistoryError, match=r"fingerprint ours, and that of theirs"):
        RemoteStore.open(redis.url.replace("//", "//default:of-nobody@"), LAYOUTS, "theirs")


def test_a_password_is_in_no_message(tmp_path):
    """It is in the URL."""
    with Redis(tmp_path, "--requirepass", "of-nobody") as server, pytest.raises(HistoryError) as refused:
        RemoteStore.open(server.url.replace("//", "//default:some-other@"), LAYOUTS, "ours")
    assert "some-other" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


def test_user_and_password_open_it(tmp_path):
    """By the URL."""
    with Redis(tmp_path, "--requirepass", "of-nobody") as server:
        store = RemoteStore.open(server.url.replace("//", "//default:of-nobody@"), LAYOUTS, "ours")
        assert store.add(batch(3)).shape == (3, store.width)
        store.close()


def test_a_cluster_is_refused(tmp_path):
    """A batch would be of several servers."""
    with (
        Redis(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server,
        pytest.raises(HistoryError, match="Redis Cluster"),
    ):
        RemoteStore.open(server.url, LAYOUTS, "ours")


def test_a_server_that_forgets_is_said(tmp_path):
    """Where memory is short, states would leave without a word."""
    with Redis(tmp_path, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as server:
        store = RemoteStore.open(server.url, LAYOUTS, "ours")
        assert any("maxmemory-policy is allkeys-lru" in line for line in store.said)
        store.close()


def test_labels_are_applied_once(store):
    """As the engine counts frauds; one that is taken back is not there any more."""
    given = batch(40, seed=1, keys=10)
    frauds = [number % 3 == 0 for number in range(40)]
    store.add(given)
    assert store.label(given, frauds) == sum(frauds)
    assert store.label(given, frauds) == 0
    layout, keys = LAYOUTS[1], sorted({key for key in given.keys[1] if key})
    states = np.zeros(len(keys) * layout.size, np.uint8)
    places = np.array([keys.index(key) for key in given.keys[1]])
    engine.advance(layout, states, places, given.times, given.values[1], np.array(frauds, np.uint8))
    assert b"".join(store.states(layout, keys)) == states.tobytes()
    store.label(given, [False] * 40)
    states[:] = 0
    engine.advance(layout, states, places, given.times, given.values[1])
    assert b"".join(store.states(layout, keys)) == states.tobytes()


def test_outcomes_of_labels_are_those_of_the_files(store, tmp_path):
    """Of transactions that are there, that are not, of old ones, and taken back; told again and again."""
    random = np.random.default_rng(1)
    given, strangers = odd(batch(80, seed=1, keys=10)), batch(20, seed=2, keys=30)
    with closing(Store.open(f"file://{tmp_path / 'files'}", LAYOUTS, "ours")) as other, other.gate.held(1):
        for one in (store, other):
            one.add(given)
        for named in [given, strangers] * 4:
            frauds = (random.random(len(named.times)) < 0.4).tolist()
            assert store.label(named, frauds) == other.label(named, frauds)
            assert store.outcomes == other.outcomes
        keys = sorted({key for one in (given, strangers) for key in one.keys[1] if key})
        assert store.states(LAYOUTS[1], keys) == other.states(LAYOUTS[1], keys)


def test_a_store_moves_to_redis_and_back(store, tmp_path):
    """Byte for byte; what the other has already stays."""
    pairs = copying.pairs(LAYOUTS, LAYOUTS)
    with (
        closing(Store.open(f"file://{tmp_path / 'one'}", LAYOUTS, "ours")) as one,
        closing(Store.open(f"file://{tmp_path / 'other'}", LAYOUTS, "ours")) as other,
    ):
        given = batch(300, seed=1, keys=400)
        with one.gate.held(1):
            one.add(given)
        keys = sorted({key for key in given.keys[0] if key}), sorted({key for key in given.keys[1] if key})
        assert copying.copy(one, store, pairs).added == sum(map(len, keys))
        assert copying.copy(one, store, pairs).added == 0
        assert copying.copy(store, other, pairs).added == sum(map(len, keys))
        with one.gate.held(1), other.gate.held(1):
            for layout, own in zip(LAYOUTS, keys, strict=True):
                assert other.states(layout, own) == one.states(layout, own) == store.states(layout, own)


def test_a_forgotten_key_was_never_seen(store):
    """Of any layout."""
    one = batch(20, seed=1, keys=3)
    store.add(one)
    keys = sorted({key for key in one.keys[1] if key})
    assert store.forget_everywhere(keys) == len(keys)
    assert store.states(LAYOUTS[1], keys) == [b""] * len(keys)


class Worker:
    """An OnlineRemote in a loop that goes on between calls; its keeper's work is done when told."""

    def __init__(self, url, **settings):
        self.registry, self.loop = CollectorRegistry(), asyncio.new_event_loop()
        read = Settings(history_url=url, **{"history_deadline_ms": 10_000, **settings})
        self.online = OnlineRemote(PAYMENTS, HASHER.fingerprint, read, HistoryMetrics(self.registry))
        self.keeper = self.online.keeper
        self.keeper._open()

    def score(self, rows):
        async def soon():
            found = self.online.score(rows, echo)
            return await found if isinstance(found, Awaitable) else found

        return np.array([np.frombuffer(one.features) for one in self.loop.run_until_complete(soon())])

    def kept(self):
        """The keeper's turn."""
        self.keeper._guarded(self.keeper._open_and_add, self.keeper._look_after)

    def count(self, name, **labels):
        self.online.publish()
        return self.registry.get_sample_value(f"fraud_history_{name}", labels)

    def close(self):
        async def end():
            if self.online._going:
                await asyncio.wait(self.online._going)
            await self.online._client.aclose()

        self.loop.run_until_complete(end())
        self.keeper._thread.start()
        self.keeper.close()
        self.loop.close()


@pytest.fixture
def worker_of():
    """Makes workers, and ends them."""
    made = []

    def make(url, **settings):
        made.append(Worker(url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_scores_are_of_rows_with_their_histories(redis, worker_of):
    """Two replicas in turn; without an id, too."""
    workers, rows = [worker_of(redis.url), worker_of(redis.url)], decoded(300)
    rows[10:20] = [one._replace(name="") for one in rows[10:20]]
    found = [workers[start % 2].score(rows[start : start + 7]) for start in range(0, 300, 7)]
    assert same(np.vstack(found), of_payments(rows))
    assert sum(worker.count("added_total") for worker in workers) == 300


def test_a_slow_server_is_in_nobodys_way(redis, worker_of):
    """A call that is late is scored without, others meanwhile at once; all are added once."""
    rows = decoded(60)
    with Wire(redis.port) as wire:
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0", history_deadline_ms=20)
        wire.seconds = 0.5
        assert np.isnan(worker.score(rows[:20])).all()
        began = time.perf_counter()
        assert np.isnan(worker.score(rows[20:40])).all()
        assert worker.online._is_late or time.perf_counter() - began > 0.4  # nobody waited for the first
        assert worker.count("missing_total", reason="deadline") == 40
        wire.seconds = 0.0
        wait_until(lambda: [worker.loop.run_until_complete(asyncio.sleep(0.05)), not worker.online._going][1])
        worker.kept()
        assert worker.count("pending") == 0
        assert worker.count("added_total") == 40
        worker.online._deadline_seconds = 10.0
        assert same(worker.score(rows[40:]), of_payments(rows)[40:])


def test_two_round_trips_are_on_their_way_and_no_more(redis, worker_of):
    """Who comes while one is need not wait for it to end; all others go together with the next."""
    rows = decoded(40)
    with Wire(redis.port) as wire:
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0")
        online = worker.online

        async def four():
            wire.cut = True
            calls = []
            for start in range(0, 40, 10):
                calls.append(asyncio.ensure_future(online.score(rows[start : start + 10], echo)))
                await asyncio.sleep(0.05)  # it goes, or waits, at the loop's next turns
            seen = len(online._going), [len(batch.times) for batch, _ in online._asked]
            wire.cut = False
            return seen, await asyncio.gather(*calls)

        seen, scored = worker.loop.run_until_complete(four())
        assert seen == (2, [10, 10])
        found = np.array([np.frombuffer(one.features) for own in scored for one in own])
        assert not np.isnan(found[:, 0]).any()
        assert worker.count("added_total") == 40


def test_what_is_sent_again_before_it_is_noted_gets_the_same(redis, worker_of):
    """Others of its keys came in between, and the note of what it got is yet on its way."""
    rows = decoded(40)
    worker = worker_of(redis.url)
    first = worker.score(rows)
    worker.online._to_note = {}
    worker.score(decoded(40, seed=2))
    assert same(worker.score(rows), first)


def test_calls_that_gave_up_before_they_were_asked_are_no_error(redis, worker_of, caplog):
    """The round trip before them took too long: they wait to be added, and nothing is sent for them."""
    rows = decoded(20)
    with Wire(redis.port) as wire:
        worker = worker_of(f"redis://127.0.0.1:{wire.port}/0", history_deadline_ms=20)
        wire.seconds = 0.3

        async def both():
            return await asyncio.gather(worker.online.score(rows[:10], echo), worker.online.score(rows[10:], echo))

        worker.loop.run_until_complete(both())
        wire.seconds = 0.0
        wait_until(lambda: [worker.loop.run_until_complete(asyncio.sleep(0.05)), not worker.online._going][1])
        assert "could not be asked" not in caplog.text
        worker.kept()
        assert (worker.count("pending"), worker.count("added_total")) == (0, 20)


def test_what_redis_refuses_for_good_is_in_nobodys_way(redis, worker_of, caplog):
    """Of all that waits it alone is given up, and said."""
    rows = decoded(60)
    worker = worker_of(redis.url)
    key = bytes_of(rows[20].texts[CARD])
    redis.client.rpush(names.state_name(layouts(PAYMENTS)[0], key), "a list")
    is_bad = [one.texts[CARD] == rows[20].texts[CARD] for one in rows[20:40]]
    for one in rows[20:40]:
        worker.score([one])
    worker.kept()
    assert worker.count("pending") == 0
    assert worker.count("dropped_total", reason="error") == sum(is_bad)
    assert worker.count("added_total") == 20 - sum(is_bad)
    assert "WRONGTYPE" in caplog.text


def test_all_that_wait_are_added_in_few_round_trips(redis, worker_of):
    """A server far away would take long for each call's."""
    rows = decoded(200)
    worker = worker_of(redis.url)
    for one in rows:
        worker.online._missed(worker.online._read(unpack([one.row]), [one.texts], [one.name]), "broken")
    calls = redis.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    worker.kept()
    assert worker.count("added_total") == 200
    assert redis.client.info("commandstats")["cmdstat_evalsha"]["calls"] - calls <= 4


def test_a_server_that_was_killed_is_found_again(tmp_path, worker_of, caplog):
    """Restarted empty, histories begin anew; what was missed is added, and that is said."""
    rows = decoded(60)
    with Redis(tmp_path) as server:
        worker = worker_of(server.url)
        worker.score(rows[:20])
        server.kill()
        assert np.isnan(worker.score(rows[20:40])).all()
        assert worker.count("missing_total", reason="broken") == 20
        worker.kept()
        server.start()
        worker.kept()  # finds it empty
        worker.kept()
        assert worker.count("pending") == 0
        assert "20 transactions that waited were added" in caplog.text
        assert same(worker.score(rows[40:]), of_payments(rows[20:])[20:])


def test_a_server_that_was_emptied_is_begun_anew(redis, worker_of, caplog):
    """And it is said."""
    rows = decoded(40)
    worker = worker_of(redis.url)
    worker.score(rows[:20])
    redis.client.flushall()
    assert np.isnan(worker.score(rows[20:])).all()
    assert "was emptied" in caplog.text
    worker.kept()
    assert worker.count("pending") == 0
    assert same(worker.score(rows[:20]), of_payments([*rows[20:], *rows[:20]])[20:])


def test_a_full_server_is_scored_without(tmp_path, worker_of):
    """Nothing is half added, and all is when there is room."""
    rows = decoded(60)
    with Redis(tmp_path) as server:
        worker = worker_of(server.url)
        worker.score(rows[:20])
        server.client.config_set("maxmemory", "1mb")
        assert np.isnan(worker.score(rows[20:40])).all()
        assert worker.count("missing_total", reason="full") == 20
        worker.kept()
        assert worker.count("pending") == 20
        server.client.config_set("maxmemory", "0")
        worker.kept()
        assert same(worker.score(rows[40:]), of_payments(rows)[40:])


def test_a_full_store_raises(tmp_path):
    """In words."""
    with Redis(tmp_path) as server:
        store = RemoteStore.open(server.url, LAYOUTS, "ours")
        server.client.config_set("maxmemory", "1mb")
        with pytest.raises(FullHistoryError, match="no memory left"):
            store.add(batch(3))
        server.client.flushall()
        server.client.config_set("maxmemory", "0")
        with pytest.raises(DamagedHistoryError, match="was emptied"):
            store.add(batch(3))
        store.close()


def test_a_cut_network_is_waited_for_by_one_call(redis, worker_of):
    """Two replicas, one of which cannot reach it: the other goes on."""
    rows = decoded(80)
    with Wire(redis.port) as wire:
        cut, other = worker_of(f"redis://127.0.0.1:{wire.port}/0", history_deadline_ms=50), worker_of(redis.url)
        first = other.score(rows[:20])
        wire.cut = True
        for start in range(20, 60, 10):
            assert np.isnan(cut.score(rows[start : start + 10])).all()
        assert cut.online._is_late
        assert same(first, of_payments(rows)[:20])
        wire.cut = False
        wait_until(lambda: [cut.loop.run_until_complete(asyncio.sleep(0.05)), not cut.online._going][1])
        cut.kept()
        assert cut.count("pending") == 0
        assert same(other.score(rows[60:]), of_payments(rows)[60:])
