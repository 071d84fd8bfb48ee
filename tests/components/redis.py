"""Debian's redis-server on a free port, in memory alone unless told otherwise; with TLS and a user where asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import redis

from tests.components.process import Process, free_port
from tests.components.require import require


class Redis:
    """A server; ``url`` is where its database 0 is reached. ``options``: more of its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, protocol=2)
        ways: Sequence[str] = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder))
        kept: Sequence[str] = () if "--appendonly" in options else ("--save", "", "--appendonly", "no")
        self._process = Process("redis", [require("redis-server"), *ways, *kept, *options], folder)

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start(self._answers, seconds=20)

    def kill(self) -> None:
        """By force; what was in memory alone is gone."""
        self._process.stop(grace_seconds=0)

    def log(self) -> str:
        return self._process.log()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.RedisError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.stop(grace_seconds=5)
