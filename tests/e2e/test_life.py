"""How a server lives and ends: what it does when told to, when a worker stands still, when what it needs goes away."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import threading
import time

import httpx
import psutil
import pytest

from tests.components import BentoServer, free_port, wait_until
from tests.e2e.conftest import REPOSITORY, serve_command

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
JSON = {"Content-Type": "application/json"}
LONG = "600"
"""Seconds that no test waits for."""


@pytest.fixture
def server(store, tmp_path):
    """Starts one with two workers: ``server(FRAUD_DRAIN_SECONDS="3")``."""
    with contextlib.ExitStack() as stack:

        def start(**settings):
            env = {**store.copy(tmp_path / "home").env, "FRAUD_WORKERS": "2", **settings}
            port = free_port()
            one = stack.enter_context(BentoServer(serve_command(port), env, REPOSITORY, port, tmp_path))
            wait_until(lambda: ready_workers(one) == 2)
            return one

        yield start


def ask(server, path, **more):
    return httpx.get(f"{server.url}{path}", timeout=10, trust_env=False, **more)


def ready_workers(server):
    lines = [line for line in ask(server, "/metrics").text.splitlines() if line.startswith("fraud_workers_ready ")]
    return float(lines[0].split()[1]) if lines else None


def predict(server):
    return httpx.post(f"{server.url}/predict", json=SAMPLE, timeout=10, trust_env=False)


def is_not_ready(server):
    return ask(server, "/readyz").status_code == 503


class Caller(threading.Thread):
    """Calls again and again on one connection, until it is told that the connection ends; ``problem`` is why not."""

    def __init__(self, server):
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.answers, self.problem = 0, None
        self.start()

    def run(self):
        try:
            last = False
            while not last:
                self.connection.request("POST", "/predict", json.dumps(SAMPLE), JSON)
                answer = self.connection.getresponse()
                assert json.loads(answer.read())["is_fraud"] is False
                last = answer.getheader("Connection") == "close"
                self.answers += 1
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.problem = error


def test_it_says_that_it_is_not_ready_and_ends_each_connection_with_an_answer(server):
    """Told to end by SIGTERM, under load: nobody's call is cut off, and new ones are answered while the grace lasts."""
    one = server(FRAUD_DRAIN_SECONDS="4")
    callers = [Caller(one) for _ in range(32)]
    wait_until(lambda: all(caller.answers for caller in callers), seconds=30)
    os.kill(one.pid, signal.SIGTERM)
    wait_until(lambda: is_not_ready(one))
    answer = predict(one)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    wait_until(lambda: ready_workers(one) == 0, seconds=4)
    for caller in callers:
        caller.join(30)
    assert [caller.problem for caller in callers] == [None] * 32
    assert one.wait(30) == 0


def test_an_idle_connection_may_still_call(server):
    """One that was open before: its call in the grace is answered, and is the last."""
    one = server(FRAUD_DRAIN_SECONDS="4")
    with httpx.Client(base_url=one.url, trust_env=False) as client:
        assert "connection" not in client.post("/predict", json=SAMPLE).headers
        os.kill(one.pid, signal.SIGTERM)
        wait_until(lambda: is_not_ready(one))
        assert client.post("/predict", json=SAMPLE).headers["connection"] == "close"


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_ends_at_once(server, first):
    """Whatever is under way, and whatever grace there is; the first Ctrl-C waits for what is under way alone."""
    one = server(FRAUD_DRAIN_SECONDS=LONG, FRAUD_REQUEST_TIMEOUT_SECONDS=LONG)
    slow = http.client.HTTPConnection("127.0.0.1", one.port, timeout=30)
    slow.putrequest("POST", "/predict")
    slow.putheader("Content-Type", "application/json")
    slow.putheader("Content-Length", "1000")
    slow.endheaders(b"{")
    predict(one)
    os.kill(one.pid, first)
    wait_until(lambda: "told to end: not ready any more" in one.log())
    assert one.wait(3) is None
    os.kill(one.pid, signal.SIGTERM)
    assert one.wait(30) == 0
    slow.close()


def test_ctrl_c_does_not_wait_when_nothing_is_under_way(server):
    """At a terminal nobody has to be sent elsewhere first."""
    one = server(FRAUD_DRAIN_SECONDS=LONG)
    os.kill(one.pid, signal.SIGINT)
    assert one.wait(30) == 0
    assert "Traceback" not in one.log()


def test_a_worker_that_stands_still_does_not_count_and_is_replaced(server):
    """The others serve on; the new worker counts again."""
    one = server(FRAUD_HANG_SECONDS="8")
    before = set(one.worker_pids())
    stopped = min(before)
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: ready_workers(one) == 1, seconds=30)
    wait_until(lambda: not psutil.pid_exists(stopped), seconds=60)
    wait_until(lambda: ready_workers(one) == 2, seconds=60)
    assert before - {stopped} < set(one.worker_pids())
    assert f"worker (process {stopped}) stood still" in one.log()


def test_a_worker_that_goes_on_counts_again(server):
    """Before its time is over: nothing was lost."""
    one = server(FRAUD_HANG_SECONDS="0")
    stopped = min(one.worker_pids())
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: ready_workers(one) == 1, seconds=30)
    os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: ready_workers(one) == 2, seconds=30)
    assert stopped in one.worker_pids()


def test_after_a_pause_of_all_nobody_is_killed(server):
    """A container that is paused, a machine that sleeps: all hearts are late, and none stands still."""
    one = server(FRAUD_HANG_SECONDS="6")
    before = one.worker_pids()
    for pid in (one.pid, *before):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(10)
    os.kill(one.pid, signal.SIGCONT)
    time.sleep(2.5)  # the parent looks, before a worker had a chance to beat
    for pid in before:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: ready_workers(one) == 2)
    time.sleep(5)  # two looks of the parent: whom it took for dead it would have killed by then
    assert sorted(one.worker_pids()) == sorted(before)
    assert "stood still" not in one.log()


def test_it_ends_although_a_worker_stands_still(server):
    """A worker that cannot be told is killed when its time is over."""
    one = server(FRAUD_HANG_SECONDS="0", FRAUD_REQUEST_TIMEOUT_SECONDS="1")
    os.kill(one.worker_pids()[0], signal.SIGSTOP)
    os.kill(one.pid, signal.SIGTERM)
    assert one.wait(60) == 0


@pytest.mark.parametrize("gone", ["", "prometheus_multiproc_dir"], ids=["all of it", "the metrics"])
def test_a_home_that_was_removed_is_said(server, tmp_path, gone):
    """/metrics says so, scores are still given, the log has it once a worker, and the server ends when told to."""
    one = server()
    wait_until(lambda: len(list((tmp_path / "home" / "prometheus_multiproc_dir").glob("gauge_all_*"))) == 2)
    shutil.rmtree(tmp_path / "home" / gone)
    answer = wait_until(lambda: (found := ask(one, "/metrics")).status_code == 503 and found)
    words = "the folder with the metrics was removed under the service; start the service anew"
    assert answer.json() == {"error": words, "details": []}
    for _ in range(20):
        assert predict(one).status_code == 200
    assert ask(one, "/readyz").status_code == 200
    wait_until(lambda: one.log().count("was removed under the server") == 2)
    os.kill(one.pid, signal.SIGTERM)
    assert one.wait(30) == 0
    assert one.log().count("was removed under the server") == 2
    assert "Traceback" not in one.log()


def test_a_worker_is_replaced_where_the_metrics_went(server, tmp_path):
    """Scores are given by the new one too."""
    one = server()
    shutil.rmtree(tmp_path / "home" / "prometheus_multiproc_dir")
    for pid in one.worker_pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: predict_or_none(one), seconds=60)
    wait_until(lambda: ready_workers(one) == 2, seconds=60)


def predict_or_none(server):
    with contextlib.suppress(httpx.TransportError):
        return predict(server).status_code == 200


def test_workers_end_when_their_parent_was_killed(server):
    """Nobody would end or replace them, and they would hold the port."""
    one = server(FRAUD_DRAIN_SECONDS=LONG)
    workers = [psutil.Process(pid) for pid in one.worker_pids()]
    os.kill(one.pid, signal.SIGKILL)
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    with pytest.raises(httpx.ConnectError):
        ask(one, "/livez")


def test_sighup_changes_the_workers_without_a_pause(server):
    """New ones take over while the old ones answer on; told to end meanwhile, it does not forget that."""
    one = server(FRAUD_DRAIN_SECONDS="6")
    before = set(one.worker_pids())
    os.kill(one.pid, signal.SIGHUP)

    def changed():
        assert predict(one).status_code == 200
        now = set(one.worker_pids())
        return len(now) == 2 and not now & before

    def changes_again():
        """Circus takes no second signal while it is about the first, which may last longer than the change itself."""
        if len(one.worker_pids()) > 2:
            return True
        os.kill(one.pid, signal.SIGHUP)
        return False

    wait_until(changed, seconds=60)
    wait_until(changes_again, seconds=60, every_seconds=1)
    os.kill(one.pid, signal.SIGTERM)
    assert one.wait(60) == 0
