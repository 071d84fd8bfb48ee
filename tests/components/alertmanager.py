"""An Alertmanager of the test's own: Debian's binary with a config and a data folder that the test gives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from tests.components.process import Process, answers, free_port
from tests.components.require import require


class Alertmanager:
    """A single server (no cluster) that runs ``config``."""

    def __init__(self, config: str, folder: Path) -> None:
        config_path = folder / "alertmanager.yml"
        config_path.write_text(config)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = [
            f"--config.file={config_path}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        self._process = Process("alertmanager", [require("prometheus-alertmanager"), *options], folder)

    def start(self) -> Self:
        self._process.start(lambda: answers(f"{self.url}/-/ready"), seconds=30)
        return self

    def stop(self) -> None:
        self._process.stop()

    def log(self) -> str:
        return self._process.log()

    def fire(self, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None, **times: str) -> None:
        """Post one alert, as Prometheus does; ``endsAt`` in the past resolves it."""
        alert = {"labels": dict(labels), "annotations": dict(annotations or {}), **times}
        httpx.post(f"{self.url}/api/v2/alerts", json=[alert], timeout=10, trust_env=False).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds now."""
        return httpx.get(f"{self.url}/api/v2/alerts", timeout=10, trust_env=False).raise_for_status().json()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
