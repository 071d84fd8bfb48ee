"""A service with two workers and a store of histories, for a benchmark."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from benchmarks.replay.service import wait_until_ready
from fraud import store
from fraud.settings import MODEL_NAME

_PATIENCE_SECONDS = 120.0
SECRET = "of no secret: these customers are made up"  # noqa: S105


def free_port() -> int:
    """Of this machine, which nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(version: str, folder: Path, port: int, env: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """The service of a model of this store, with a model store of its own; what it says goes to ``folder/PORT.log``."""
    home = folder / f"bentoml-{port}"
    copytree(store.get(f"{MODEL_NAME}:{version}").path, home / "models" / MODEL_NAME / version)
    known = {
        "BENTOML_HOME": str(home),
        "FRAUD_MODEL": f"{MODEL_NAME}:{version}",
        "FRAUD_KEY_SECRET": SECRET,
        "FRAUD_HISTORY_URL": f"file://{folder}/history",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "service:FraudDetector", "--host", "127.0.0.1"]
    with (folder / f"{port}.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)], env={**os.environ, **known, **env}, stdout=log, stderr=log
        )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", server)
        yield server
    finally:
        server.terminate()
        server.wait(60)


def kill_one_worker(server: "subprocess.Popen[bytes]") -> int:
    """End a worker by force; its process id."""
    workers = [
        one for one in psutil.Process(server.pid).children(recursive=True) if "worker" in " ".join(one.cmdline())
    ]
    os.kill(workers[0].pid, signal.SIGKILL)
    return workers[0].pid


def missing_by_reason(*ports: int) -> dict[str, float]:
    """Transactions that were scored without their histories."""
    return _by_label(ports, "fraud_history_missing_total", "reason")


def labels_by_outcome(*ports: int) -> dict[str, float]:
    """What became of labels."""
    return _by_label(ports, "fraud_history_labels_total", "outcome")


def wait_until_logged(*ports: int) -> None:
    """Return when nothing waits for the prediction log."""
    time.sleep(2)  # what is published is a second old
    while sum(sample.value for port in ports for sample in _samples(port, "fraud_log_pending")):
        time.sleep(0.5)


def wait_until_applied(labels: int, *ports: int) -> None:
    """Return when so many labels of frauds were counted in histories."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while (found := labels_by_outcome(*ports)).get("applied", 0) < labels:
        if time.monotonic() > until:
            raise RuntimeError(f"{labels} labels were sent, and became {found}")
        time.sleep(0.1)


def _by_label(ports: Sequence[int], name: str, label: str) -> dict[str, float]:
    found = Counter[str]()
    for port in ports:
        for sample in _samples(port, name):
            found[sample.labels[label]] += sample.value  # type: ignore[assignment] # of whole numbers, as floats
    return {one: float(value) for one, value in found.items() if value}


def _samples(port: int, name: str) -> list[Sample]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    families = text_string_to_metric_families(text)
    return [sample for family in families for sample in family.samples if sample.name == name]
