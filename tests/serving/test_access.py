"""Which paths need which key, and what is told of calls that bring none."""

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from fraud import keys
from fraud.settings import Settings
from monitoring.access_metrics import GUARDED, OTHER
from monitoring.metrics import FraudMetrics
from serving import access
from serving.access import LOG_SECONDS, MOST_CALLERS, UnauthorizedCalls
from serving.edge import METRICS, OPEN, STATIC, Edge

KEY, DIGEST = keys.make()
READER, READER_DIGEST = keys.make()
CLOSED = {"/predict", "/predict_batch", "/feedback", "/model", "/a_method_of_tomorrow"}
KNOWN = frozenset(CLOSED | OPEN | {f"{STATIC}swagger-ui.css"})


def headers(key):
    return [(b"authorization", f"Bearer {key}".encode())]


def test_without_keys_every_path_is_open():
    """A first try needs none."""
    assert access.guards(Settings(), KNOWN) == {}


def test_with_api_keys_whatever_is_not_open_needs_one():
    """A method that is added is closed without being named."""
    guards = access.guards(Settings(api_keys=DIGEST), KNOWN)
    assert set(guards) == CLOSED
    assert all(guard(headers(KEY)) for guard in guards.values())


def test_a_metrics_key_opens_the_metrics_and_nothing_else():
    """Nor does a key that scores read them."""
    guards = access.guards(Settings(api_keys=DIGEST, metrics_keys=READER_DIGEST), KNOWN)
    assert set(guards) == {*CLOSED, METRICS}
    assert {path for path, guard in guards.items() if guard(headers(READER))} == {METRICS}
    assert {path for path, guard in guards.items() if guard(headers(KEY))} == CLOSED


def test_a_call_has_the_name_of_its_key():
    """Which its setting gives it."""
    guards = access.guards(Settings(api_keys=f"shop:{DIGEST}", metrics_keys=READER_DIGEST), KNOWN)
    assert guards["/predict"](headers(KEY)) == "shop"
    assert guards[METRICS](headers(READER)) == READER_DIGEST[:8]


KINDS = {"score": {"/predict", "/predict_batch"}, "label": {"/feedback"}, "read": {"/model"}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_kind_opens_the_paths_of_that_kind(kind):
    """None that is not named, either: a method that is added needs a key that is good for everything."""
    settings = Settings(api_keys=f"all:{DIGEST},some[{kind}]:{READER_DIGEST}")
    guards = access.guards(settings, KNOWN)
    assert {path for path, guard in guards.items() if guard(headers(READER))} == KINDS[kind]
    assert {path for path, guard in guards.items() if guard(headers(KEY))} == CLOSED
    knows = access.known_to(settings)
    known = {path: knows({"path": path, "headers": headers(READER)}) for path in CLOSED | {METRICS}}
    assert known == {**dict.fromkeys(CLOSED, "some"), METRICS: None}


def test_the_start_says_how_many_keys_are_good_for_what():
    """Where they are told apart."""
    said = access.introduction(Settings(api_keys=f"all:{DIGEST},some[label+read]:{READER_DIGEST}"))
    assert said == "2 keys (good for score 1, label 2, read 2); metrics open"


def test_metrics_keys_alone_close_the_metrics_alone():
    """Who scores needs none."""
    assert set(access.guards(Settings(metrics_keys=READER_DIGEST), KNOWN)) == {METRICS}


@pytest.fixture
def clock(monkeypatch):
    """A monotonic time that passes when told to: ``clock[0]``."""
    now = [1000.0]
    monkeypatch.setattr("serving.access.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def counted():
    return Counter()


@pytest.fixture
def unauthorized(counted, clock):
    return UnauthorizedCalls(lambda path: counted.update([path]))


def call(address, path="/model"):
    return {"path": path, "client": address and (address, 4711), "headers": headers(KEY)}


def test_each_call_is_counted_by_its_path(unauthorized, counted):
    """Whether it is said or not."""
    for _ in range(3):
        unauthorized.note(call("10.0.0.1"))
    unauthorized.note(call("10.0.0.1", "/predict"))
    assert counted == {"/model": 3, "/predict": 1}


def test_the_log_says_how_many_from_where_and_never_the_key(unauthorized, caplog):
    """Those who called most, by their addresses; the others as a number."""
    for last, times in enumerate((1, 5, 2, 9, 1), start=1):
        for _ in range(times):
            unauthorized.note(call(f"10.0.0.{last}"))
    unauthorized.tell()
    assert caplog.messages == [
        "calls without a known key: 18, the last to /model; 9 from 10.0.0.4, 5 from 10.0.0.2, 2 from 10.0.0.3, "
        "more from 2 other addresses"
    ]
    assert KEY not in caplog.text


def test_it_is_said_at_most_once_in_a_while_and_in_the_end_all(unauthorized, clock, caplog):
    """A thousand calls a second fill no log, and none is left unsaid."""
    for _ in range(int(LOG_SECONDS) + 1):
        for _ in range(1000):
            unauthorized.note(call("10.0.0.1"))
        unauthorized.tell()
        clock[0] += 1
    unauthorized.tell()
    assert [message.split(",")[0] for message in caplog.messages] == [
        "calls without a known key: 1000",
        f"calls without a known key: {1000 * int(LOG_SECONDS)}",
    ]
    clock[0] += 10 * LOG_SECONDS
    unauthorized.tell()
    assert len(caplog.messages) == 2


def test_many_addresses_take_no_memory(unauthorized, counted, caplog):
    """Beyond a bound they are counted together."""
    for number in range(10 * MOST_CALLERS):
        unauthorized.note(call(f"2001:db8::{number:x}"))
    assert len(unauthorized._callers) == MOST_CALLERS + 1
    unauthorized.tell()
    assert f"calls without a known key: {10 * MOST_CALLERS}," in caplog.text
    assert f"; {9 * MOST_CALLERS} from others, " in caplog.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("x\ny: [ERROR] \x1b[31m" + "z" * 500, "x?y:??ERROR????31m" + "z" * 46),
        ("", "an unknown address"),
        (None, "an unknown address"),
    ],
)
def test_an_address_is_short_and_of_one_line(unauthorized, caplog, address, said):
    """A trusted proxy's header may hold anything; there is none on a Unix socket."""
    unauthorized.note({"path": "/model", "client": None if address is None else (address, 0)})
    unauthorized.tell()
    assert caplog.messages == [f"calls without a known key: 1, the last to /model; 1 from {said}"]


def value(registry, name, **labels):
    return registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("given", "required"), [({}, 0), ({"api_keys": DIGEST}, 1), ({"metrics_keys": READER_DIGEST}, 0)]
)
def test_what_is_watched_reaches_the_metrics(given, required, caplog):
    """Whether keys are needed to score, each call by its path, and a flush writes the line."""
    registry = CollectorRegistry()
    metrics = FraudMetrics(5, registry)
    edge = Edge(None, KNOWN, metrics.observe_call, access.guards(Settings(**given), KNOWN))
    access.watch(edge, metrics)
    assert value(registry, "fraud_keys_required") == required
    for path in sorted(CLOSED | {METRICS}):
        edge.note_unauthorized(call("10.0.0.1", path))
    counts = {path: value(registry, "fraud_unauthorized_total", path=path) for path in GUARDED}
    assert counts == dict.fromkeys(GUARDED, 1)
    metrics.flush()
    assert "calls without a known key: 6" in caplog.text


def test_every_path_that_may_need_a_key_has_a_series_of_its_own():
    """But for a method that is added later."""
    assert set(GUARDED) - {OTHER} == {*CLOSED, METRICS} - {"/a_method_of_tomorrow"}
