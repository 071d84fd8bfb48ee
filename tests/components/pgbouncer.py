"""A pooler before a Postgres: Debian's pgbouncer, a connection of the server for each transaction."""

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Self

from tests.components.postgres import DATABASE, PASSWORD, UNPRIVILEGED, USER, Postgres
from tests.components.process import Process, free_port
from tests.components.require import require

CONFIG = """
[databases]
{database} = host=127.0.0.1 port={server} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


class PgBouncer:
    """Hands each transaction to one of few connections to ``postgres``; ``url`` is where it is reached."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # pytest's folders are closed to other users
        self.port = free_port()
        self.url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"
        config = self._folder / "pgbouncer.ini"
        facts = {"database": DATABASE, "server": postgres.port, "user": USER, "password": PASSWORD, "port": self.port}
        config.write_text(CONFIG.format(**facts))
        command = [require("pgbouncer"), str(config)]
        if os.getuid() == 0:  # which it refuses
            shutil.chown(self._folder, UNPRIVILEGED)
            shutil.chown(config, UNPRIVILEGED)
            command[1:1] = ["--user", UNPRIVILEGED]
        self._process = Process("pgbouncer", command, folder, cwd=Path("/"))

    def log(self) -> str:
        return self._process.log()

    def __enter__(self) -> Self:
        self._process.start(self._listens, seconds=20)
        return self

    def _listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_: object) -> None:
        self._process.stop(grace_seconds=5)
        shutil.rmtree(self._folder, ignore_errors=True)
