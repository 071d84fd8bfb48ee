"""``python -m training smoke``: a container image is started, asked the sample request, read out and stopped."""

import json
import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fraud.errors import FraudError
from fraud.settings import Settings
from training.console import Steps
from training.shipping import image

FLUSH_SECONDS = 10
"""Counts reach /metrics within a second; a busy machine may take longer."""

_SECRET = "FRAUD_KEY_SECRET"  # noqa: S105 - a variable's name: a model that was trained with one starts with it alone
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # localhost is behind no proxy


def smoke(name: str, version: str, seconds: float, steps: Steps) -> dict[str, Any]:
    """What the container answered. Raises FraudError when it does not do what it should, with the end of its log."""
    engine = image.find_engine(None)
    port = _free_port()
    steps.start("run", f"Starting {name} on port {port}")
    with _container(engine, name, port) as container:
        url = f"http://127.0.0.1:{port}"
        ready_seconds = _wait_until_ready(url, container, seconds)
        steps.done("ready")
        steps.start("ask", "Sending the sample request")
        answer = json.loads(_fetch(f"{url}/predict", _sample(url)))
        _check_answer(answer, version)
        lines = _wait_for_metrics(url, answer, version)
        steps.done(json.dumps(answer))
        exit_code = container.stop()
    if exit_code != 0:
        raise FraudError(f"{name}: asked to stop, it exited with code {exit_code} instead of 0")
    return {"image": name, "answer": answer, "metrics": lines, "ready_seconds": round(ready_seconds, 1)}


class Container:
    """A running container, by its engine and its name."""

    def __init__(self, engine: str, name: str) -> None:
        self.engine, self.name = engine, name

    def running(self) -> bool:
        """Whether its process lives."""
        return self._say("inspect", "--format", "{{.State.Running}}", self.name).strip() == "true"

    def log(self) -> str:
        """The end of what it said."""
        return self._say("logs", "--tail", "20", self.name).strip()

    def stop(self) -> int:
        """SIGTERM, a grace of 30 s; the exit code."""
        self._say("stop", "-t", "30", self.name)
        return int(self._say("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def remove(self) -> None:
        """Take it away, whatever state it is in."""
        self._say("rm", "--force", self.name)

    def _say(self, *words: str) -> str:
        done = subprocess.run(
            [self.engine, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
        )
        return done.stdout


@contextmanager
def _container(engine: str, name: str, port: int) -> Iterator[Container]:
    """A container of the image; the port is the same inside and outside, for engines that share the host's network."""
    container = Container(engine, f"fraud-smoke-{uuid.uuid4().hex[:12]}")
    options = [f"--name={container.name}", f"--publish=127.0.0.1:{port}:{port}", f"--env=BENTOML_PORT={port}"]
    secret = Settings.from_env().key_secret
    options += [f"--env={_SECRET}"] if secret else []  # without its value, which the list of processes would show
    try:
        started = subprocess.run(
            [engine, "run", "--pull=never", "--detach", *options, name],
            capture_output=True,
            text=True,
            env={**os.environ, **({_SECRET: secret} if secret else {})},
        )
        if started.returncode:
            raise FraudError(f"{name}: {engine} cannot run it: {started.stderr.strip()}")
        yield container
    except FraudError as error:
        raise FraudError(f"{error}\nthe end of its log:\n{container.log()}") from None
    finally:
        container.remove()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, container: Container, seconds: float) -> float:
    """How long it took."""
    started = time.monotonic()
    while not _ready(url):
        if not container.running():
            raise FraudError("it ended before it was ready")
        if time.monotonic() - started > seconds:
            raise FraudError(f"/readyz did not answer 200 within {seconds:g} s")
        time.sleep(0.5)
    return time.monotonic() - started


def _ready(url: str) -> bool:
    try:
        _fetch(f"{url}/readyz")
    except FraudError:
        return False
    return True


def _fetch(url: str, body: bytes | None = None) -> str:
    """What is answered to a GET, or to a POST of JSON. Raises FraudError when that is no 200."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - http, our own
    try:
        with _OPEN(request, timeout=30) as response:
            return str(response.read().decode())
    except OSError as error:  # urllib's errors are
        raise FraudError(f"{url}: {error}") from None


def _sample(url: str) -> bytes:
    """The transaction that the service's own document shows."""
    taken = json.loads(_fetch(f"{url}/docs.json"))["paths"]["/predict"]["post"]["requestBody"]["content"]
    return json.dumps(taken["application/json"]["example"]).encode()


def _check_answer(answer: dict[str, Any], version: str) -> None:
    if answer.get("model_version") != version:
        raise FraudError(f"it serves model {answer.get('model_version')}, expected {version}")
    if not 0 <= answer.get("fraud_probability", -1) <= 1:
        raise FraudError(f"expected a fraud_probability between 0 and 1, got {answer}")


def _wait_for_metrics(url: str, answer: dict[str, Any], version: str) -> list[str]:
    """The lines of /metrics that count the request and name the model."""
    decision = "fraud" if answer["is_fraud"] else "legitimate"
    checks: list[Callable[[str], bool]] = [
        lambda line: line == f'fraud_predictions_total{{decision="{decision}"}} 1.0',
        lambda line: line.startswith("fraud_model_info{") and f'model_version="{version}"' in line,
    ]
    deadline = time.monotonic() + FLUSH_SECONDS
    while True:
        lines = _fetch(f"{url}/metrics").splitlines()
        matches = [line for check in checks for line in lines if check(line)]
        if len(matches) == len(checks):
            return matches
        if time.monotonic() > deadline:
            raise FraudError(
                f"/metrics does not count the request by model {version}; of what it should say: {matches}"
            )
        time.sleep(0.5)
