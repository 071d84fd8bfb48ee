"""Nobody passes without the right key, however the call is written; who tries is counted, and said in the log."""

import json
import re
import socket
import sqlite3
from contextlib import closing

import httpx
import pytest

from fraud import keys
from serving.pages import FACTS, FIGURES
from tests.components import Prometheus, wait_until
from tests.e2e.conftest import PROMETHEUS, REPOSITORY, quick_config

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
KEY, DIGEST = keys.make()
READER, READER_DIGEST = keys.make()
GUARDED = ("/predict", "/predict_batch", "/feedback", "/model", "/metrics")


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    """With a key for calls and another one for metrics, and a database, so that there is ``/feedback``."""
    database = tmp_path_factory.mktemp("database") / "fraud.sqlite"
    return start(
        FRAUD_API_KEYS=DIGEST, FRAUD_METRICS_KEYS=f"{READER_DIGEST}\n", FRAUD_DATABASE_URL=f"sqlite:///{database}"
    )


def raw(server, method, target, *lines, version="HTTP/1.1"):
    """The status and the body of a call as it is written, byte for byte."""
    head = [f"{method} {target} {version}", "Host: x", "Connection: close", *lines]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        with connection.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            return status, answer.read().partition(b"\r\n\r\n")[2]


def bearer(key):
    return f"Authorization: Bearer {key}"


def written(path):
    """Ways to write the target of a call of ``path``, or nearly of it."""
    name = path[1:]
    return [
        *(path, f"{path}?x", f"{path}?key={KEY}", f"{path}?access_token={READER}", f"{path}#{KEY}", f"{path};x"),
        *(f"/%{ord(name[0]):02x}{name[1:]}", f"/%{ord(name[0]):02X}{name[1:]}", f"{path[:-1]}%{ord(name[-1]):x}"),
        *(f"/{path}", f"{path}/", f"/.{path}", f"/x/..{path}", f"/%2e%2e{path}", f"/%2f{name}", f"%2f{name}", name),
        *(f"/static_content/..{path}", f"/static_content/%2e%2e{path}", f"/metrics/..{path}", f"/docs.json{path}"),
        *(
            f"http://x{path}",
            f"HTTP://x{path}",
            f"https://x:1{path}?y",
            f"http://{KEY}@x{path}",
            f"http://u:{KEY}@x{path}",
        ),
        *(
            f"{path}%00",
            f"{path}%20",
            f"{path}%3fx",
            f"{path}%0d%0a",
            f"{path}%",
            path.upper(),
            f"\\{name}",
            "http://x",
        ),
    ]


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT", "TRACE", "PROPFIND"])
def test_no_way_to_write_a_path_passes_without_a_key(server, path, method):
    """It is the path, and asks for a key; or it is none. Nothing is answered but the refusal."""
    for target in written(path):
        status, body = raw(server, method, target, "Content-Length: 0")
        assert status in (400, 401, 404), target
        if method != "HEAD" or status == 400:  # who writes no HTTP is answered before the method is known
            assert json.loads(body).keys() == {"error", "details"}, target
        else:
            assert body == b"", target


@pytest.mark.parametrize("path", GUARDED)
def test_what_is_the_path_asks_for_its_key_and_takes_it(server, path):
    """Written in full, or with characters of it encoded: as servers and proxies read it."""
    key = READER if path == "/metrics" else KEY
    for target in (path, f"{path}?x", f"/%{ord(path[1]):02x}{path[2:]}", f"http://x{path}"):
        assert raw(server, "GET", target)[0] == 401, target
        assert raw(server, "GET", target, bearer(key))[0] in (200, 405), target


@pytest.mark.parametrize("path", GUARDED)
def test_a_question_of_a_browser_is_answered_with_nothing(server, path):
    """It passes without a key, whatever path it asks of, and no page is made for it."""
    status, body = raw(server, "OPTIONS", path, "Origin: http://a", "Access-Control-Request-Method: GET")
    assert status == 405
    assert json.loads(body)["error"].startswith("this path does not take that method")
    assert raw(server, "GET", path, "Origin: http://a", "Access-Control-Request-Method: GET")[0] == 401


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0"])
def test_another_version_is_no_way_around(server, version):
    """Refused, or asked for a key."""
    assert raw(server, "GET", "/model", version=version)[0] in (400, 401)


@pytest.mark.parametrize(
    "line",
    [
        "authorization: bearer {}",
        "AUTHORIZATION:BEARER {}",
        "Authorization: Bearer   {} \t",
        "Authorization:\tBearer {}",
    ],
)
def test_odd_forms_of_a_known_key_pass(server, line):
    """Names and schemes have no case, and blanks around a value are none of it."""
    assert raw(server, "GET", "/model", line.format(KEY))[0] == 200


@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization: Bearer wrong", "Authorization: Bearer {}"],
        ["Authorization: Bearer {}", "Authorization: Bearer wrong"],
        ["Authorization: Bearer {}", "Authorization: Bearer {}"],
        ["Authorization: Bearer {}", "authorization:"],
        ["Authorization: Bearer wrong, Bearer {}"],
        ["Authorization: Bearer {}\xe4"],
        ["Authorization: \xe4 Bearer {}"],
        ["Authorization: Bearer\xa0{}"],
        ["Authorization: Bearer\t{}"],
        ['Authorization: Bearer "{}"'],
        ["Authorization: {}"],
        ["Authorization: Token {}"],
        ["Authorization : Bearer {}"],
        ["Authorization: Bearer", " {}"],
        ["Authorization: Bearer {}\x00"],
        ["Proxy-Authorization: Bearer {}"],
        ["X-Authorization: Bearer {}"],
        ["Authorization_: Bearer {}"],
        ["X-Api-Key: {}"],
        ["Cookie: Authorization=Bearer {}"],
        ["X-Original-URL: /livez", "X-Rewrite-URL: /livez"],
        ["X-HTTP-Method-Override: OPTIONS", "Access-Control-Request-Method: GET"],
    ],
    ids=lambda lines: " | ".join(lines).encode("ascii", "backslashreplace").decode(),
)
def test_other_forms_of_a_known_key_do_not_pass(server, lines):
    """Neither two at once, nor in another header, nor with anything more."""
    status, body = raw(server, "GET", "/model", *(line.format(KEY) for line in lines))
    assert status in (400, 401)
    assert b"model_version" not in body


@pytest.mark.parametrize("path", GUARDED)
def test_each_kind_of_key_opens_its_own_paths_only(server, path):
    """Prometheus' key does not score, and a key that scores reads no metrics."""
    reads = path == "/metrics"
    assert raw(server, "GET", path, bearer(KEY if reads else READER))[0] == 401
    assert raw(server, "GET", path, bearer(READER if reads else KEY))[0] in (200, 405)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/", "/docs.json", "/schema.json"])
def test_health_and_documentation_stay_open(server, path):
    """They tell nothing of model, data or machine: no version of it, no path, no threshold."""
    status, body = raw(server, "GET", path)
    assert status == 200
    card = model_card(server, bearer(KEY))
    facts = [card["model_version"], card["git_revision"], card["data"]["fingerprint"], str(REPOSITORY)]
    assert not [fact for fact in facts if fact.encode() in body]


def model_card(server, *lines):
    return json.loads(raw(server, "GET", "/model", *lines)[1])


def test_who_has_a_key_sees_the_whole_card_but_for_where_data_lay(server, store):
    """What the model was made of and how; ``manifest.json`` in the store has the rest."""
    card = model_card(server, bearer(KEY))
    for name in ("model_version", "threshold", "metrics", "synthetic", "split", "settings"):
        assert card[name] == store.result[name]
    assert card["data"] == {name: fact for name, fact in store.result["data"].items() if name != "sources"}
    assert "numpy" in card["versions"]
    assert card["engine"] == "kernel", "the compiled scorer is not used on this machine"


@pytest.fixture(scope="module")
def open_server(start):
    """Without any key, as for a first try."""
    return start()


def test_who_has_none_sees_the_least_that_is_of_use(open_server, store):
    """Where no key is asked for: which model it is, since when, its threshold, and how good it was found to be."""
    card = model_card(open_server)
    assert set(card) == {"name", "metrics", *FACTS}
    assert set(card["metrics"]) == FIGURES
    assert card["model_version"] == store.result["model_version"]
    assert card["metrics"]["recall"] == store.result["metrics"]["recall"]


def metric(server, line, key=READER):
    """The value of a series now."""
    text = raw(server, "GET", "/metrics", bearer(key))[1].decode()
    found = re.search(rf"^{re.escape(line)} (\S+)\r?$", text, re.M)
    return float(found[1]) if found else None


def test_whether_keys_are_required_is_published(server, open_server):
    """For the alert that somebody left them out."""
    wait_until(lambda: metric(server, "fraud_keys_required") == 1)
    wait_until(lambda: metric(open_server, "fraud_keys_required") == 0)
    for path in GUARDED:
        series = f'fraud_unauthorized_total{{path="{path}"}}'
        assert metric(open_server, series) == 0


def test_guessing_keys_is_counted_and_said(server):
    """Each call by its path; the few lines in the log name all of them and the address, and never what was sent."""
    series = [f'fraud_unauthorized_total{{path="{path}"}}' for path in GUARDED]
    before, guess = [metric(server, one) for one in series], keys.make()[0]
    for path in GUARDED:
        for _ in range(20):
            assert raw(server, "GET", path, bearer(guess))[0] == 401
    after = [count + 20 for count in before]
    wait_until(lambda: [metric(server, one) for one in series] == after)
    wait_until(lambda: sum(told(server)) == sum(after), seconds=40)
    assert all(secret not in server.log() for secret in (guess, KEY, READER))


def told(server):
    """How many calls without a key each line of the log tells of."""
    words = r"calls without a known key: (\d+), the last to /\w+; \1 from 127\.0\.0\.1$"
    return [int(number) for number in re.findall(words, server.log(), re.M)]


def test_metrics_keys_alone_leave_scoring_open(start):
    """And the start says both. Of a call through a proxy on this machine the log names whom the proxy names."""
    server = start(FRAUD_METRICS_KEYS=READER_DIGEST)
    assert httpx.post(f"{server.url}/predict", json=SAMPLE, trust_env=False).status_code == 200
    assert raw(server, "GET", "/metrics", "X-Forwarded-For: 203.0.113.9")[0] == 401
    wait_until(lambda: "known key: 1, the last to /metrics; 1 from 203.0.113.9\n" in server.log())
    wait_until(lambda: metric(server, "fraud_keys_required") == 0)
    assert "no keys: whoever reaches the port may score; 1 keys for metrics" in server.log()


def keyed_config(file):
    """The shipped configuration with its comment about the key taken away."""
    config, changed = re.subn(r"# (authorization: \{credentials_file: )[^}]+\}", rf"\g<1>{file}}}", quick_config())
    assert changed == 1
    return config


def test_prometheus_scrapes_with_the_key(server, tmp_path):
    """With the shipped configuration and a key in a file it reads the metrics; with another key it says 401, until the
    file holds the right one.
    """
    file = tmp_path / "metrics-key"
    file.write_text("wrong")
    with Prometheus(keyed_config(file), tmp_path / "prometheus", PROMETHEUS, [server.port]) as prometheus:
        wait_until(lambda: prometheus.query('up{job="fraud-detector"} == 0'), seconds=20)
        assert "401" in prometheus.targets()[0]["lastError"]
        file.write_text(f"{READER}\n")
        wait_until(lambda: prometheus.query('up{job="fraud-detector"} == 1'), seconds=20)
        assert wait_until(lambda: prometheus.query("fraud_keys_required == 1"))
        assert wait_until(lambda: prometheus.query('fraud_unauthorized_total{path="/metrics"} > 0'), seconds=20)


def test_each_kind_of_api_key_does_its_own(start, tmp_path):
    """Who scores writes no label, who labels does not score; each is told so, counted, and a label bears the key."""
    made = {kind: keys.make() for kind in ("score", "label", "read")}
    database = tmp_path / "fraud.sqlite"
    server = start(
        FRAUD_API_KEYS=",".join(f"{kind}-key[{kind}]:{digest}" for kind, (_, digest) in made.items()),
        FRAUD_DATABASE_URL=f"sqlite:///{database}",
    )
    label = {"transaction_id": "t", "is_fraud": True}
    calls = {
        "score": ("POST", "/predict", SAMPLE),
        "label": ("POST", "/feedback", label),
        "read": ("GET", "/model", None),
    }
    for needed, (method, path, body) in calls.items():
        for kind, (key, _) in made.items():
            answer = httpx.request(
                method, server.url + path, json=body, headers={"Authorization": f"Bearer {key}"}, trust_env=False
            )
            assert answer.status_code == (200 if kind == needed else 403), (path, kind)
            if kind != needed:
                assert (answer.json().keys(), "another kind" in answer.text) == ({"error", "details"}, True)
    wait_until(lambda: metric(server, 'fraud_unauthorized_total{path="/feedback"}') == 2)
    wait_until(lambda: metric(server, 'fraud_prediction_errors_total{reason="forbidden"}') == 2)
    wait_until(lambda: "calls with a key of another kind: " in server.log())
    assert "3 keys (good for score 1, label 1, read 1)" in server.log()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select transaction_id, key_name from labels").fetchall() == [("t", "label-key")]
