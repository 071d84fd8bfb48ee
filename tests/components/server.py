"""``bentoml serve`` as a user starts it: one arbiter process and its workers."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Self

import httpx
import psutil

from fraud.settings import Settings
from tests.components.process import Process, answers

WORKER_MODULE = "_bentoml_impl.worker.service"


class BentoServer:
    """A server started by ``command`` (which names ``port``), ready when ``GET /readyz`` answers 200 and all are there.

    Nobody is sent elsewhere before it ends, so it does not wait for that unless ``env`` says so.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, port: int, folder: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._is_closed = "FRAUD_METRICS_KEYS" in env
        self._workers = int(env.get("FRAUD_WORKERS") or Settings().workers)
        self._process = Process("bentoml", command, folder, env={"FRAUD_DRAIN_SECONDS": "0", **env}, cwd=cwd)

    @property
    def pid(self) -> int:
        """Of the arbiter, which the signals go to."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.exit_code

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it still runs after ``seconds``."""
        return self._process.wait(seconds)

    def worker_pids(self) -> list[int]:
        """The processes that serve requests."""
        return [child.pid for child in self._process.descendants() if _serves(child)]

    def log(self) -> str:
        return self._process.log()

    def start(self, seconds: float = 60, path: str = "/readyz") -> Self:
        """Start and wait until ``path`` answers 200; ``/livez`` when it will never be ready."""
        self._process.start(lambda: answers(f"{self.url}{path}") and (path != "/readyz" or self._all_ready()), seconds)
        return self

    def _all_ready(self) -> bool:
        """Whether every worker says so, where anybody may ask: who may not is counted."""
        if self._is_closed:
            return True
        answer = httpx.get(f"{self.url}/metrics", timeout=5, trust_env=False)
        return answer.status_code != HTTPStatus.OK or f"\nfraud_workers_ready {self._workers}.0\n" in answer.text

    def terminate(self, timeout: float = 30) -> int | None:
        """Send SIGTERM and return the exit code (negative when it had to be killed after ``timeout`` seconds)."""
        return self._process.stop(grace_seconds=timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.terminate()


def _serves(process: psutil.Process) -> bool:
    try:
        return WORKER_MODULE in process.cmdline()
    except psutil.Error:  # it ended meanwhile
        return False
