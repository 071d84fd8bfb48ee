"""Which service the rows go to: one of the replay's own, or a running one that can judge them."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.replay.figures import label_delay
from fraud import store
from fraud.settings import MODEL_NAME

EXTRA_SECONDS = 3.0
"""A prediction is judged this long after its label came."""
MOST_SECONDS = 60.0
"""A service that judges so much later is not waited for."""


@contextmanager
def service(version: str, digest: str, delay_seconds: float) -> Iterator[str]:
    """A service with two workers, a SQLite file and a model store of its own: one beside it is left alone; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "bentoml"
        shutil.copytree(store.get(f"{MODEL_NAME}:{version}").path, home / "models" / MODEL_NAME / version)
        env = {
            **os.environ,
            "BENTOML_HOME": str(home),
            "FRAUD_MODEL": f"{MODEL_NAME}:{version}",
            "FRAUD_API_KEYS": digest,
            "FRAUD_METRICS_KEYS": "",
            "FRAUD_DATABASE_URL": f"sqlite:///{folder}/fraud.sqlite",
            "FRAUD_LABEL_DELAY_DAYS": str(delay_seconds / 86_400),
        }
        command = [sys.executable, "-m", "bentoml", "serve", "service:FraudDetector", "--host", "127.0.0.1"]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen([*command, "--port", str(port)], env=env, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Return when /readyz answers; end with a message when it does not within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    sys.exit("error: the service did not become ready")


def check_suits(client: httpx.Client, version: str, delay: float) -> None:
    """End with a message when live figures of this service cannot become those of the rows."""
    try:
        answer = client.get("/model")
    except httpx.TransportError as error:
        sys.exit(f"error: {client.base_url} does not answer ({error}); give the --url of a service that runs")
    if answer.status_code == 401:
        sys.exit("error: the service does not take the key; put one of its keys in KEY")
    if (serves := answer.raise_for_status().json()["model_version"]) != version:
        sys.exit(f"error: the service serves {serves}, not {version}; give --model fraud_detector:{serves}")
    if client.get("/metrics").status_code == 401:
        sys.exit("error: the service asks for another key for /metrics; start it without FRAUD_METRICS_KEYS")
    deadline = time.monotonic() + 5  # one that just started says it after a second or two
    while not (judged := label_delay(client)) and time.monotonic() < deadline:
        time.sleep(0.5)
    takes_labels = client.post("/feedback").status_code != 404
    if not takes_labels or not delay < judged <= delay + MOST_SECONDS:
        days = (delay + EXTRA_SECONDS) / 86_400
        sys.exit(
            f"error: the service {'takes' if takes_labels else 'does not take'} labels and judges a prediction after "
            f"{judged:g} s (0: it has no database); labels come after {delay:g} s: start it with FRAUD_DATABASE_URL, "
            f"FRAUD_API_KEYS and FRAUD_LABEL_DELAY_DAYS={days:.6f}"
        )
