"""Debian's redis-server for a benchmark: in memory alone, on a port of its own."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from benchmarks.history.service import free_port
from benchmarks.serving.environments import NotRunError


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The process and its port. Raises NotRunError without redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotRunError("redis-server is not installed; on Debian: apt-get install redis-server")
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, protocol=2) as client:
            while server.poll() is None:
                try:
                    client.ping()
                    break
                except redis.exceptions.ConnectionError:
                    time.sleep(0.05)
        yield server, port
    finally:
        server.terminate()
        server.wait(30)


def memory(port: int) -> int:
    """Bytes that it uses."""
    with redis.Redis(port=port, protocol=2) as client:
        return int(client.info("memory")["used_memory"])
