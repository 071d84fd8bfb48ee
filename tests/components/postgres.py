"""A Postgres of the test's own: Debian's binaries, a data folder and a port that nobody else uses."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.components.process import Process, free_port
from tests.components.require import require_postgres

USER, PASSWORD, DATABASE = "fraud", "e2e-password", "postgres"
UNPRIVILEGED = "nobody"
REPOSITORY = Path(__file__).parents[2]


class Postgres:
    """A server that listens on 127.0.0.1 and asks for a password; its data goes when it is stopped for good.

    Postgres refuses to run as root: then it runs as ``nobody``, in a folder of its own that ``nobody`` can reach.
    """

    def __init__(self, folder: Path, encoding: str = "UTF8") -> None:
        self._encoding = encoding
        self._bin = require_postgres()
        self._data = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's folders are closed to other users
        self._as_user: list[str] = []
        if os.getuid() == 0:
            shutil.chown(self._data, UNPRIVILEGED)
            self._as_user = ["setpriv", f"--reuid={UNPRIVILEGED}", "--regid=nogroup", "--clear-groups", "--"]
        self.port = free_port()
        self.url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        settings = [f"--{name}={value}" for name, value in options.items()]
        command = [*self._as_user, str(self._bin / "postgres"), "-D", str(self._data / "db"), *settings]
        self._process = Process("postgres", command, folder, cwd=Path("/"))

    def start(self) -> Self:
        if not (self._data / "db").exists():
            self._make_cluster()
        self._process.start(self._ready, seconds=30)
        return self

    def _make_cluster(self) -> None:
        secret = self._data / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = [
            "-U",
            USER,
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "-E",
            self._encoding,
            "--locale=C",
        ]
        command = [*self._as_user, str(self._bin / "initdb"), "-D", str(self._data / "db"), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
        assert done.returncode == 0, done.stderr

    def _ready(self) -> bool:
        command = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, timeout=10).returncode == 0

    def stop(self) -> None:
        """Take it down; ``start`` brings it back with its data."""
        if self._process.exit_code is None:
            os.kill(self._process.pid, signal.SIGINT)  # fast: SIGTERM would wait until every client has gone
            self._process.wait(10)
        self._process.stop(grace_seconds=0)

    def upgrade(self) -> None:
        """Make our tables, or bring them up to date, as a user does."""
        command = [sys.executable, "-m", "monitoring", "database", "upgrade"]
        env = {**os.environ, "FRAUD_DATABASE_URL": self.url}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=REPOSITORY, env=env)
        assert done.returncode == 0, done.stderr

    @property
    def psql(self) -> list[str]:
        """What runs the statements that come next."""
        return [str(self._bin / "psql"), self.url, "-tAc"]

    def query(self, sql: str) -> str:
        """What ``psql`` prints of one query: values alone."""
        return subprocess.run([*self.psql, sql], capture_output=True, text=True, timeout=20).stdout.strip()

    def run(self, program: str, *arguments: str) -> None:
        """One of Postgres' own programs, such as ``pg_dump``."""
        done = subprocess.run([str(self._bin / program), *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def log(self) -> str:
        return self._process.log()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)
