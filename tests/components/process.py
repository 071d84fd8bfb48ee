"""One child process of a test: its log in a file, a readiness wait with a limit, a stop that leaves nothing behind."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

T = TypeVar("T")


class ComponentError(Exception):
    """A component did not start; the message carries the end of its log."""

    def __init__(self, name: str, problem: str, log: str) -> None:
        tail = "\n".join(log.splitlines()[-40:])
        super().__init__(f"{name} {problem}; the end of its log:\n{tail}")


class Process:
    """A command in a session of its own, logging to ``folder/name.log``; may be started again after a stop."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name, self.command, self.env, self.cwd = name, list(command), env, cwd or folder
        self.log_path = folder / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._family: set[psutil.Process] = set()

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or was never started)."""
        return self._child.poll() if self._child else None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, ready: Callable[[], bool], seconds: float) -> None:
        """Start and wait until ``ready()``. Raises ComponentError after ``seconds`` or when the process ends."""
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )
        try:
            self._wait(ready, seconds)
        except BaseException:
            self.stop(grace_seconds=0)
            raise
        self.descendants()

    def _wait(self, ready: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if self.exit_code is not None:  # asked first: another process may answer on this port
                raise ComponentError(self.name, f"ended with exit code {self.exit_code}", self.log())
            if ready():
                return
            if time.monotonic() > deadline:
                raise ComponentError(self.name, f"was not ready within {seconds:g} s", self.log())
            time.sleep(0.1)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it still runs after ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._child.wait(seconds) if self._child else None
        return None

    def descendants(self) -> list[psutil.Process]:
        """Its live child processes, and theirs; all ever seen are remembered for the stop."""
        try:
            alive = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            alive = []
        self._family.update(alive)
        return alive

    def stop(self, grace_seconds: float = 15) -> int | None:
        """SIGTERM, wait, then SIGKILL to it and to every descendant still alive. Returns the exit code.

        Workers lead process groups of their own under BentoML, so killing one group would not reach them.
        """
        if self._child is None:
            return None
        self.descendants()
        self._child.terminate()
        self.wait(grace_seconds)
        self._child.kill()
        for process in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._family.clear()
        return self._child.wait()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different.

    Each of the processes that run tests side by side is given others: what starts on a port listens a while later.
    """
    number, processes = _place()
    with contextlib.ExitStack() as stack:
        ports = list[int]()
        while len(ports) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port // 2 % processes == number:  # Linux gives odd ones first
                ports.append(port)
        return ports


def _place() -> tuple[int, int]:
    """Which process of how many this one is."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return int(number), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free_port() -> int:
    return free_ports(1)[0]


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(check: Callable[[], T], seconds: float = 30, every_seconds: float = 0.1) -> T:
    """The first true value of ``check()``; fails with the last value seen when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not so within {seconds:g} s; last seen: {value!r}"
        time.sleep(every_seconds)
    return value
