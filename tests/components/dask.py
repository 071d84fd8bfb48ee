"""A Dask cluster of the test's own: one scheduler and its workers, each a process as a user starts it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.components.process import Process, free_port


class DaskCluster:
    """``dask scheduler`` at ``address`` and ``workers`` times ``dask worker`` with one thread each, in ``env``."""

    def __init__(self, folder: Path, workers: int = 2, env: Mapping[str, str] | None = None) -> None:
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        dask = [sys.executable, "-m", "dask"]
        local = ["--host", "127.0.0.1", "--no-dashboard"]
        self._scheduler = Process("scheduler", [*dask, "scheduler", *local, "--port", str(port)], folder, env)
        options = ["--nthreads", "1", "--nworkers", "1", "--memory-limit", "0", "--local-directory", str(folder)]
        self._workers = [
            Process(f"worker-{number}", [*dask, "worker", self.address, *local, *options], folder, env)
            for number in range(workers)
        ]

    def start(self) -> Self:
        try:
            self._scheduler.start(lambda: "Scheduler at:" in self._scheduler.log(), seconds=30)
            for worker in self._workers:
                worker.start(lambda worker=worker: "Registered to:" in worker.log(), seconds=30)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        for process in (*self._workers, self._scheduler):
            process.stop()

    def log(self) -> str:
        return "".join(process.log() for process in (self._scheduler, *self._workers))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
