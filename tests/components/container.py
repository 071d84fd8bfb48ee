"""Containers under the machine's own engine: ``docker`` with a daemon, or podman."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.components.process import Process, answers


@dataclass(frozen=True)
class Engine:
    """``name`` is the command and BentoML's ``--backend``; ``env`` is for every child process that uses it."""

    name: str
    env: Mapping[str, str] = field(repr=False)

    def run(self, *arguments: str, timeout: float = 120) -> str:
        """The standard output of one engine command; raises CalledProcessError when it fails."""
        done = subprocess.run([self.name, *arguments], env=self.env, timeout=timeout, capture_output=True, text=True)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
        return done.stdout


def container_engine() -> Engine | None:
    """The first engine on PATH that answers, or None."""
    env = {"BUILDAH_ISOLATION": "chroot", **os.environ}  # podman's builds then need no more rights than its runs
    for name in ("docker", "podman"):
        if shutil.which(name) and not subprocess.run([name, "ps"], env=env, capture_output=True).returncode:
            return Engine(name, env)
    return None


class Container:
    """A container of a bento's image, in the foreground of a child process.

    The server listens on ``port`` inside and outside, because an engine that shares the host's network maps none.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        port: int,
        folder: Path,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.name = f"e2e-{uuid.uuid4().hex[:12]}"
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._engine = engine
        settings = {**(env or {}), "BENTOML_PORT": str(port)}
        command = [
            *(engine.name, "run", "--rm", f"--name={self.name}", f"--publish=127.0.0.1:{port}:{port}"),
            *(f"--env={key}={value}" for key, value in settings.items()),
            *(*options, image),
        ]
        self._process = Process("container", command, folder, env=engine.env)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.exit_code

    def start(self, seconds: float = 60) -> Self:
        try:
            self._process.start(lambda: answers(f"{self.url}/readyz"), seconds)
        except BaseException:
            self.remove()
            raise
        return self

    def log(self) -> str:
        return self._process.log()

    def exec(self, *command: str) -> str:
        """The standard output of a command inside it; raises CalledProcessError when it fails."""
        return self._engine.run("exec", self.name, *command)

    def terminate(self, timeout: int = 30) -> int | None:
        """SIGTERM through the engine, SIGKILL after ``timeout`` seconds; returns the container's exit code."""
        self._engine.run("stop", "-t", str(timeout), self.name, timeout=timeout + 30)
        return self._process.wait(10)

    def remove(self) -> None:
        """Take it away, whatever state it is in."""
        subprocess.run(
            [self._engine.name, "rm", "--force", self.name], env=self._engine.env, capture_output=True, timeout=60
        )
        self._process.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()
