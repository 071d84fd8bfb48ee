"""The stack's compose file: accepted by what reads it, and what can run here comes up and works together.

The images of Prometheus, Alertmanager and Grafana come from a registry. Where there is none this machine's own
binaries stand in for the first two, with the stack's command lines, mounts and network; Grafana is left out.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime

import httpx
import pytest
import yaml

from tests.components import answers, free_ports, require, require_engine, wait_until
from tests.e2e.conftest import REPOSITORY, engine_only, run

pytestmark = pytest.mark.e2e

STACK = REPOSITORY / "monitoring" / "compose.yaml"
TOKEN = REPOSITORY / "monitoring" / "compose.token.yaml"
METRICS_KEY = REPOSITORY / "monitoring" / "compose.metrics-key.yaml"
REDIS = REPOSITORY / "monitoring" / "compose.redis.yaml"
BASE = "python:3.11-slim"  # what the service's image is made from, so it is there
SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())


def compose(*arguments, files=(STACK,), project="e2e-config", check=True, **env):
    """Run ``docker compose``, or podman-compose where Docker has no such command."""
    docker = (
        shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    )
    program = ["docker", "compose"] if docker else [require("podman-compose")]
    named = [word for file in files for word in ("-f", str(file))]
    given = {name: value for name, value in os.environ.items() if name != "IMAGE"} | env
    done = subprocess.run(
        [*program, "-p", project, *named, *arguments], env=given, capture_output=True, text=True, timeout=300
    )
    assert not check or done.returncode == 0, f"{arguments} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


def health_checks():
    """File, service and words of each."""
    for file in (STACK, REPOSITORY / "deploy" / "compose.yaml"):
        for name, service in yaml.safe_load(file.read_text())["services"].items():
            if "healthcheck" in service:
                yield pytest.param(service["healthcheck"]["test"][1:], id=f"{file.parent.name}-{name}")


@pytest.mark.parametrize("words", [*health_checks()])
def test_health_checks_ask_without_a_proxy(server, words):
    """In a container that was given one 127.0.0.1 is asked itself; what does not answer is not healthy."""
    program = [sys.executable] if words[0] == "python" else [require("busybox"), "wget"]
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": "localhost"}

    def healthy(port):
        asked = [re.sub(r":\d{4}/[^'\"]*", f":{port}/readyz", word) for word in words[1:]]
        return subprocess.run([*program, *asked], env=env, capture_output=True, timeout=30).returncode == 0

    assert healthy(server.port)
    assert not healthy(free_ports(1)[0])


def test_the_file_is_accepted():
    """``config`` reads it, fills in the image and leaves no variable open."""
    read = yaml.safe_load(compose("config", IMAGE="fraud_detector:abc").stdout)
    assert read["services"]["fraud-detector"]["image"] == "fraud_detector:abc"
    assert set(read["services"]) == set(yaml.safe_load(STACK.read_text())["services"])
    assert "${" not in json.dumps(read["services"])


def test_without_an_image_it_says_what_to_do():
    """The one thing that has no default is asked for by name."""
    done = compose("config", check=False)
    assert done.returncode != 0
    assert "set IMAGE to fraud_detector:<model version>" in done.stderr


def test_with_a_token_file_no_token_is_in_the_environment(tmp_path):
    """Both files together are accepted; a GITHUB_TOKEN of the shell goes nowhere."""
    (tmp_path / "token").write_text("in-the-file")
    given = {"GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "of-the-shell", "GITHUB_TOKEN_FILE": str(tmp_path / "token")}
    said = compose("config", files=(STACK, TOKEN), IMAGE="x:1", **given).stdout
    read = yaml.safe_load(said)
    assert read["services"]["retrain-webhook"]["environment"]["GITHUB_TOKEN_FILE"].endswith("/github-token")
    assert read["secrets"]["github-token"]["file"] == str(tmp_path / "token")
    assert "of-the-shell" not in said
    assert "in-the-file" not in said


def test_with_a_metrics_key_prometheus_gets_the_file_and_the_service_the_hash(tmp_path):
    """Both files together are accepted; the key itself is in no environment, and its hash must be given."""
    (tmp_path / "key").write_text("in-the-file")
    given = {"IMAGE": "x:1", "METRICS_KEY_FILE": str(tmp_path / "key"), "files": (STACK, METRICS_KEY)}
    said = compose("config", FRAUD_METRICS_KEYS="a" * 64, **given).stdout
    read = yaml.safe_load(said)
    assert read["services"]["fraud-detector"]["environment"]["FRAUD_METRICS_KEYS"] == "a" * 64
    assert read["secrets"]["metrics-key"]["file"] == str(tmp_path / "key")
    assert "in-the-file" not in said
    asked = compose("config", check=False, **given)
    assert asked.returncode != 0
    assert "set FRAUD_METRICS_KEYS to the SHA-256 of the key" in asked.stderr


@pytest.mark.parametrize("beside", [STACK, REPOSITORY / "deploy" / "compose.yaml"], ids=["stack", "service alone"])
def test_with_a_redis_its_address_is_in_a_file(beside, tmp_path):
    """Both files together are accepted; neither file's content is shown, and each must be named."""
    for name in ("url", "users"):
        (tmp_path / name).write_text("in-the-file")
    given = {"IMAGE": "x:1", "HISTORY_URL_FILE": str(tmp_path / "url"), "files": (beside, REDIS)}
    said = compose("config", REDIS_USERS_FILE=str(tmp_path / "users"), **given).stdout
    environment = yaml.safe_load(said)["services"]["fraud-detector"]["environment"]
    assert environment["FRAUD_HISTORY_URL_FILE"] == "/run/secrets/history-url"
    assert not environment["FRAUD_HISTORY_URL"]
    assert "in-the-file" not in said
    asked = compose("config", check=False, **given)
    assert asked.returncode != 0
    assert "set REDIS_USERS_FILE to the absolute path" in asked.stderr


def stand_in(binary, *more):
    """This machine's binary in the place of a service's own image. Without what waits for health checks: under podman
    they need systemd, and its chains of dependencies do not start."""
    return {
        "image": BASE,
        "user": "root",
        "entrypoint": [f"/stand-in/{binary}"],
        "volumes": [f"{require(binary)}:/stand-in/{binary}:ro", *(f"{path}:{path}:ro" for path in more)],
        "healthcheck": {"disable": True},
        "depends_on": "RESET",
    }


@pytest.fixture(scope="module")
def stack(store, tmp_path_factory):
    """The stack without Grafana, under a name and on ports of its own; gives the published URLs by service."""
    engine, folder = require_engine(), tmp_path_factory.mktemp("stack")
    templates = "/usr/share/prometheus/alertmanager"  # Debian's Alertmanager does not hold them in itself
    services = {
        "alertmanager": stand_in("prometheus-alertmanager", templates),
        "prometheus": stand_in("prometheus"),
    }
    text = yaml.safe_dump({"services": services}).replace("depends_on: RESET", "depends_on: !reset null")
    (folder / "stand-ins.yaml").write_text(text)
    name = uuid.uuid4().hex[:12]
    tag = f"fraud-e2e:{name}"
    env = {**store.env, **engine_only(engine)}
    run([sys.executable, "-m", "training", "image", "--backend", engine.name, "--tag", tag], env, timeout=900)
    names = ("PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
    ports = dict(zip(names, map(str, free_ports(3)), strict=True))
    files = (STACK, folder / "stand-ins.yaml")
    given = {"files": files, "project": f"e2e-{name}", "IMAGE": tag, **ports, **engine_only(engine)}
    try:
        compose("up", "-d", "fraud-detector", "retrain-webhook", *services, **given)
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        for name, path in (("PORT", "/readyz"), ("PROMETHEUS_PORT", "/-/ready"), ("ALERTMANAGER_PORT", "/-/ready")):
            wait_until(lambda url=urls[name] + path: answers(url), seconds=60)
        yield urls, given
    finally:
        compose("down", "-v", "-t", "5", check=False, **given)
        engine.run("rmi", "--force", tag)


def query(urls, promql):
    params = {"query": promql}
    answer = httpx.get(f"{urls['PROMETHEUS_PORT']}/api/v1/query", params=params, trust_env=False).json()
    return answer["data"]["result"]


def test_the_service_logs_to_the_volume(stack):
    """It may write to the folder that it was handed: what it answers is in the database."""
    urls, _ = stack
    httpx.post(f"{urls['PORT']}/predict", json=SAMPLE, trust_env=False).raise_for_status()
    written = "fraud_log_written_total 1.0"
    wait_until(lambda: written in httpx.get(f"{urls['PORT']}/metrics", trust_env=False).text, seconds=10)


def test_the_parts_find_each_other_by_name(stack):
    """Prometheus scrapes the service and knows Alertmanager by the names in targets-compose, and has our rules."""
    urls, _ = stack
    [up] = wait_until(lambda: query(urls, 'up{job="fraud-detector"} == 1'), seconds=60)
    assert up["metric"]["instance"] == "fraud-detector:3000"
    told = httpx.get(f"{urls['PROMETHEUS_PORT']}/api/v1/alertmanagers", trust_env=False).json()["data"]
    assert [one["url"] for one in told["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"]
    rules = httpx.get(f"{urls['PROMETHEUS_PORT']}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    assert {"recording", "alerting"} == {rule["type"] for group in rules for rule in group["rules"]}


def test_an_alert_reaches_the_receiver(stack):
    """Without a token it answers, and says in its log what it would have sent: no notification fails."""
    urls, given = stack
    alert = {"labels": {"alertname": "Tried", "retrain": "true"}, "startsAt": datetime.now(UTC).isoformat()}
    httpx.post(f"{urls['ALERTMANAGER_PORT']}/api/v2/alerts", json=[alert], trust_env=False).raise_for_status()

    def said():
        done = compose("logs", "retrain-webhook", **given)
        return "would have sent" in done.stdout + done.stderr and done

    done = wait_until(said, seconds=60, every_seconds=2)
    assert '"alert": "Tried"' in done.stdout + done.stderr
    metrics = httpx.get(f"{urls['ALERTMANAGER_PORT']}/metrics", trust_env=False).text
    failed = [line for line in metrics.splitlines() if line.startswith("alertmanager_notifications_failed_total{")]
    assert [line for line in failed if "webhook" in line and not line.endswith(" 0")] == []
