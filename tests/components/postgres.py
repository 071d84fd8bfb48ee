"""A Postgres of the test's own: Debian's binaries, a data folder below the test's, one database for everybody here."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.components.process import Process, free_port
from tests.components.require import missing

NOBODY = "nobody"  # Postgres refuses to run as root


class Postgres:
    """A server on 127.0.0.1; may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self._binaries = binaries()
        # not below the test's folder: pytest makes that unreadable for others, and the server is another user
        self._home = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        self._data = self._home / "data"
        self._as_other = []
        if os.getuid() == 0:
            user = pwd.getpwnam(NOBODY)
            os.chown(self._home, user.pw_uid, user.pw_gid)
            self._as_other = ["runuser", "-u", NOBODY, "--"]
        init = [self._binaries / "initdb", "-D", self._data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([*self._as_other, *map(str, init)], check=True, capture_output=True, cwd="/")
        options = ["-D", self._data, "-p", self.port, "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]
        command = [*self._as_other, str(self._binaries / "postgres"), *map(str, options)]
        self._process = Process("postgres", command, folder, cwd=Path("/"))

    def start(self) -> Self:
        self._process.start(self._answers, seconds=30)
        return self

    def stop(self) -> None:
        self._process.stop()

    def query(self, sql: str) -> str:
        """What ``psql`` prints of one query: values alone."""
        return self._psql(sql).stdout.strip()

    def _answers(self) -> bool:
        return self._psql("select 1").returncode == 0

    def _psql(self, sql: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._binaries / "psql"), self.url, "-tAc", sql]
        return subprocess.run(command, capture_output=True, text=True, timeout=20)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


def binaries() -> Path:
    """The folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else missing("postgres", "apt-get install postgresql")
