"""Who gets to histories in Redis, and how: TLS, a user with the fewest rights, a password that is shown nowhere."""

import os
import re
import subprocess
from hashlib import sha256
from types import SimpleNamespace

import httpx
import numpy as np
import psutil
import pytest
import redis
from prometheus_client import CollectorRegistry

from fraud.errors import HistoryError
from fraud.history.labels import Mark
from fraud.history.remote.store import RemoteStore
from fraud.settings import Settings
from monitoring.history_metrics import HistoryMetrics
from serving.history.remote import OnlineRemote
from tests import histories
from tests.components import BentoServer, Redis, free_port, require, wait_until
from tests.e2e.conftest import PATIENT, REPOSITORY, serve_command
from tests.e2e.test_history import calls
from tests.e2e.test_history_redis import Worker
from tests.e2e.test_registry import Commands
from tests.fraud.history.test_store import LAYOUTS, batch, offline, same
from tests.serving.history.test_online import HASHER, decoded
from tests.serving.history.test_online import SCHEMA as PAYMENTS

pytestmark = pytest.mark.e2e

USERS = (REPOSITORY / "deploy" / "kubernetes" / "components" / "redis" / "users.acl").read_text()
PASSWORDS = {"fraud": "a-password-of-the-service", "operator": "a-password-of-people"}
AMPLE = str(64 * 1024 * 1024)


def certificates(folder):
    """A CA of the test's own, another one, and a certificate of the first for 127.0.0.1."""
    made = SimpleNamespace(
        ca=folder / "ca.crt", other=folder / "other.crt", crt=folder / "own.crt", key=folder / "own.key"
    )
    for ca in (made.ca, made.other):
        _openssl(ca, ca.with_suffix(".key"), "-subj", f"/CN={ca.stem}")
    signed = ("-CA", made.ca, "-CAkey", made.ca.with_suffix(".key"), "-addext", "subjectAltName=IP:127.0.0.1")
    _openssl(made.crt, made.key, "-subj", "/CN=redis", "-addext", "basicConstraints=critical,CA:FALSE", *signed)
    return made


def _openssl(certificate, key, *words):
    command = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *words], check=True, capture_output=True)


def users(folder, text=USERS):
    """The shipped file of users with the hashes of our passwords, as its README fills it in."""
    for name, password in PASSWORDS.items():
        text = text.replace(f"{name.upper()}_SHA256", sha256(password.encode()).hexdigest())
    (folder / "users.acl").write_text(text)
    return "--aclfile", str(folder / "users.acl")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """With TLS beside its open port, the shipped users, and a limit of memory."""
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    own = certificates(folder)
    tls = ("--tls-port", str(port), "--tls-cert-file", own.crt, "--tls-key-file", own.key, "--tls-auth-clients", "no")
    with Redis(folder, *map(str, tls), *users(folder), "--maxmemory", AMPLE) as server:
        server.certificates, server.tls = own, f"rediss://fraud:{PASSWORDS['fraud']}@127.0.0.1:{port}/0"
        yield server


@pytest.fixture
def server(running):
    """The same, where nobody has begun a store."""
    client(running, "fraud").delete("fraud:history", "fraud:history:leader")
    return running


def as_user(server, name="fraud"):
    """The address of the open port, for a user."""
    return server.url.replace("//", f"//{name}:{PASSWORDS[name]}@")


def client(server, name="operator"):
    return redis.Redis(port=server.port, username=name, password=PASSWORDS.get(name, "any"), protocol=2)


def test_it_is_reached_over_tls(server):
    """By the file of its CA, in the address; what it says is the same."""
    store = RemoteStore.open(f"{server.tls}?ssl_ca_certs={server.certificates.ca}", LAYOUTS, "ours")
    given = batch(20, seed=1)
    assert same(store.add(given), next(iter(offline([given]))))
    assert {one["user"] for one in client(server).client_list() if one["name"] == "fraud-history"} == {"fraud"}
    store.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", r"certificate verify failed.* name the file of the CA that signed it, \?ssl_ca_certs=FILE"),
        ("?ssl_ca_certs={other}", r"certificate verify failed.* name the file of the CA that signed it"),
        ("?ssl_ca_certs={ca}.gone", r"ssl_ca_certs=\S+\.gone in its URL: cannot be read \(No such file"),
    ],
    ids=["the system's CAs", "another CA", "no such file"],
)
def test_another_ca_is_refused(server, options, words):
    """In words that say what to do, and no password."""
    url = server.tls + options.format(**vars(server.certificates))
    with pytest.raises(HistoryError, match=words) as refused:
        RemoteStore.open(url, LAYOUTS, "ours")
    assert str(refused.value).startswith("rediss://127.0.0.1:")
    assert PASSWORDS["fraud"] not in str(refused.value)


def everything(url):
    """All that the service and our commands do to a store."""
    store, given = RemoteStore.open(url, LAYOUTS, "ours"), batch(30, seed=1, keys=5)
    try:
        assert same(store.add(given), next(iter(offline([given]))))
        assert same(store.add(given), next(iter(offline([given]))))  # remembered
        frauds = [True] * 30
        assert store.label(given, frauds) == 30
        assert store.label(given, [False] * 30) == 30
        store.note_labels(dict.fromkeys(store.labels(), Mark(5.0)))
        assert [*store.labels().values()] == [Mark(5.0)]
        assert store.lead()
        assert store.lead()
        keys = sorted({key for key in given.keys[0] if key})
        states = store.states(LAYOUTS[0], keys)
        assert store.begin(LAYOUTS[0], [b"\7" * 16, keys[0]], [states[0]] * 2, 0) == 1
        assert sum(len(held) for held, _ in store.parts(LAYOUTS[0])) == len(keys) + 1
        used, limit = store.memory()
        assert 0 < used < limit == int(AMPLE)
        assert store.forget_everywhere(keys) == len(keys)
    finally:
        store.close()


def test_the_user_may_do_all_that_is_needed(tmp_path):
    """By the shipped file: nothing is refused to it, be it by a command or by a script."""
    with Redis(tmp_path, *users(tmp_path), "--maxmemory", AMPLE) as own:
        everything(as_user(own))
        assert client(own).acl_log() == []


SERVICE = USERS.splitlines()[-1]


@pytest.mark.parametrize("right", re.findall(r"(?<= )[~+]\S+", SERVICE))
def test_the_user_needs_each_of_its_rights(tmp_path, right):
    """Without one of them the store is refused, in words that name Redis' reason."""
    fewer = USERS.replace(SERVICE, SERVICE.replace(f" {right}", "", 1))
    with (
        Redis(tmp_path, *users(tmp_path, fewer), "--maxmemory", AMPLE) as own,
        pytest.raises(HistoryError, match=r"permission|can't run this command|can't access"),
    ):
        everything(as_user(own))


@pytest.mark.parametrize(
    "command",
    [
        *("GET other", "SET other 1", "DEL other", "KEYS *", "FLUSHALL", "FLUSHDB", "CONFIG GET maxmemory"),
        *(
            "ACL LIST",
            "CLIENT LIST",
            "MONITOR",
            "SHUTDOWN NOSAVE",
            "SAVE",
            "SELECT 1",
            "REPLICAOF a 1",
        ),
    ],
)
def test_the_user_may_do_nothing_else(server, command):
    """Neither to what others keep there, nor to the server."""
    with pytest.raises(redis.exceptions.NoPermissionError):
        client(server, "fraud").execute_command(*command.split())


def test_nobody_else_may_do_anything(server):
    """Without a user nothing; who asks whether it is well gets that answer alone."""
    with pytest.raises(redis.exceptions.AuthenticationError):
        server.client.ping()
    assert client(server, "health").ping()
    for command in ("INFO", "GET fraud:history", "CLIENT LIST"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(server, "health").execute_command(*command.split())
    with pytest.raises(redis.exceptions.NoPermissionError):
        client(server).get("fraud:history")


def test_every_worker_says_what_memory_there_is(server):
    """Also one that does not lead: of two replicas the one that led before would say for good what was."""
    read = Settings(history_url=as_user(server))
    registries = [CollectorRegistry(), CollectorRegistry()]
    workers = [OnlineRemote(PAYMENTS, HASHER.fingerprint, read, HistoryMetrics(one)) for one in registries]
    for worker, registry in zip(workers, registries, strict=True):
        worker.keeper._open()
        worker.keeper._look_after()
        assert registry.get_sample_value("fraud_history_bytes_limit") == int(AMPLE)
        assert 0 < registry.get_sample_value("fraud_history_bytes") < int(AMPLE)
    assert [worker.keeper.store.lead() for worker in workers] == [True, False]
    for worker in workers:
        worker.keeper.store.close()


@pytest.fixture
def worker_of():
    """Makes workers, and ends them."""
    made = []

    def make(url):
        made.append(Worker(url))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """With a model that looks at histories."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "payments.toml").write_text(histories.SCHEMA)
    histories.payments(2_000, seed=1).to_csv(folder / "payments.csv", index=False)
    command = Commands(folder / "home", {**os.environ, "FRAUD_KEY_SECRET": histories.SECRET})
    code, _, error = command(
        *("run", "--data", folder / "payments.csv", "--schema", folder / "payments.toml"),
        *("--split", "stratified", "--trees", "5"),
    )
    assert code == 0, error
    return folder / "home"


def served(home, folder, url, **more):
    """A server that is told of the store by a file alone."""
    folder.mkdir(exist_ok=True)
    (folder / "url").write_text(f"{url}\n")
    port, place = free_port(), folder / "home"
    subprocess.run(["cp", "-r", home, place], check=True)  # two servers on one home wipe each other's metrics
    env = {**os.environ, **PATIENT, "BENTOML_HOME": str(place), "FRAUD_KEY_SECRET": histories.SECRET}
    told = {"FRAUD_HISTORY_URL_FILE": str(folder / "url"), "FRAUD_HISTORY_DEADLINE_MS": "10000", "FRAUD_WORKERS": "1"}
    return BentoServer(serve_command(port), {**env, **told, **more}, REPOSITORY, port, folder)


def metric(server, name):
    """The sum of its samples."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))


def check_no_password(server):
    """Neither in the log nor in /metrics, nor in the environment of any of its processes."""
    processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    seen = [server.log(), httpx.get(f"{server.url}/metrics", trust_env=False).text]
    seen += [str(one.environ()) + str(one.cmdline()) for one in processes]
    assert not [one for one in seen if PASSWORDS["fraud"] in one]


def scores(server, rows):
    asked = {"transactions": rows}
    answer = httpx.post(f"{server.url}/predict_batch", json=asked, timeout=60, trust_env=False).raise_for_status()
    return [one["fraud_probability"] for one in answer.json()["predictions"]]


def test_two_services_share_a_store_that_a_file_names(server, home, tmp_path):
    """Over TLS, as the user with the fewest rights. What one was sent the other knows; no password is shown."""
    rows = calls(histories.payments(60, seed=2))
    url = f"{server.tls}?ssl_ca_certs={server.certificates.ca}"
    with served(home, tmp_path / "a", url) as one, served(home, tmp_path / "b", url) as other:
        first = scores(one, rows)
        assert scores(other, rows) == first
        wait_until(lambda: metric(one, "fraud_history_added_total") == len(rows))
        assert metric(other, "fraud_history_added_total") == 0
        for service in (one, other):
            wait_until(lambda own=service: metric(own, "fraud_history_bytes_limit") == int(AMPLE))
            assert 0 < metric(service, "fraud_history_bytes") < int(AMPLE)
            assert metric(service, "fraud_history_missing_total") == 0
            assert re.search(r"histories in rediss://127\.0\.0\.1:\d+/0, ", service.log())
            check_no_password(service)


def test_a_service_with_a_wrong_password_scores_without(server, home, tmp_path):
    """It says which Redis refused it, once a minute, and shows no password."""
    with served(home, tmp_path / "a", as_user(server).replace("fraud:", "nobody:")) as service:
        assert len(scores(service, calls(histories.payments(10, seed=3)))) == 10
        wait_until(lambda: metric(service, "fraud_history_missing_total") == 10)
        assert re.search(r"redis://127\.0\.0\.1:\d+/0: invalid username-password pair", service.log())
        check_no_password(service)


def test_an_unclear_address_stops_the_start(home, tmp_path):
    """A part of the password would be taken for the name of a host; it is not shown."""
    service = served(home, tmp_path / "a", "redis://fraud:first/second@127.0.0.1:1/0")
    with pytest.raises(Exception, match="ended with exit code"):
        service.start()
    assert "FRAUD_HISTORY_URL: expected " in service.log()
    assert not re.search("first|second@", service.log())


def test_a_password_of_any_signs_opens_it(tmp_path):
    """Written in percent."""
    quoted = "p%40ss%3Aw%2Ford%3F%23%2541%20%C3%A9"
    with Redis(tmp_path, "--requirepass", "p@ss:w/ord?#%41 é") as own:
        url = Settings.from_env({"FRAUD_HISTORY_URL": own.url.replace("//", f"//default:{quoted}@")}).history_url
        store = RemoteStore.open(url, LAYOUTS, "ours")
        assert np.isfinite(store.add(batch(3))).any()
        store.close()


def cli(server, *words):
    """What ``redis-cli`` says to people, who have a user of their own."""
    told = [require("redis-cli"), "-p", str(server.port), "-e", "--user", "operator", "--no-auth-warning"]
    env = {**os.environ, "REDISCLI_AUTH": PASSWORDS["operator"]}
    done = subprocess.run([*told, *words], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_steps_of_the_runbook_for_a_full_redis(tmp_path, worker_of):
    """More memory is had at once and what waited is added; a forgotten key frees its state; a restart loses nothing."""
    options = ("--appendonly", "yes", "--appendfsync", "always", *users(tmp_path))
    rows = decoded(400)
    with Redis(tmp_path, *options) as own:
        worker = worker_of(as_user(own))
        limit = worker.keeper.store.memory()[0] + 50_000
        cli(own, "CONFIG", "SET", "maxmemory", str(limit))
        for start in range(0, 400, 20):
            worker.score(rows[start : start + 20])
            if worker.count("missing_total", reason="full"):
                break
        waiting = worker.count("pending")
        assert waiting == worker.count("missing_total", reason="full") == 20
        worker.kept()
        assert worker.count("bytes") > 0.85 * worker.count("bytes_limit") == 0.85 * limit
        assert "maxmemory_policy:noeviction" in cli(own, "INFO", "memory")
        cli(own, "CONFIG", "SET", "maxmemory", "64mb")
        worker.kept()
        worker.keeper._looked = 0.0  # ten seconds later
        worker.kept()
        assert worker.count("pending") == 0
        assert worker.count("bytes_limit") == 64 * 1024**2
        assert worker.count("added_total") == start + 20
        store = worker.keeper.store
        (layout, *_), held = store._layouts, [*store.parts(store._layouts[0])]
        keys, states = [key for part, _ in held for key in part], [state for _, part in held for state in part]
        assert store.forget_everywhere(keys[:1]) == 1
        own.kill()
        own.start()
        assert store.states(layout, keys) == [b"", *states[1:]]
        worker.kept()
        assert np.isfinite(worker.score(rows[start + 20 : start + 40] or rows[:20])).any()
