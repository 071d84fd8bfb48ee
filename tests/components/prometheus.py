"""A Prometheus of the test's own: Debian's binary with a config and a data folder that the test gives."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from tests.components.process import Process, answers, free_port
from tests.components.require import require


class Prometheus:
    """A server that runs ``config``; ``beside`` is a folder whose files its relative paths (rules, targets) refer to.

    Ports of 127.0.0.1 to scrape and to alert take the place of the shipped targets. ``rewrite`` changes the rules.
    """

    def __init__(
        self,
        config: str,
        folder: Path,
        beside: Path,
        scraped: Sequence[int],
        alertmanagers: Sequence[int] = (),
        rewrite: Callable[[str], str] = str,
    ) -> None:
        shutil.copytree(beside, folder, dirs_exist_ok=True)
        for rules in (folder / "rules").glob("*.yml"):
            rules.write_text(rewrite(rules.read_text()))
        for name, ports in (("service", scraped), ("alertmanager", alertmanagers)):
            targets = [f"127.0.0.1:{port}" for port in ports]
            (folder / "targets" / f"{name}.yml").write_text(json.dumps([{"targets": targets}]))
        config_path = folder / "prometheus.yml"
        config_path.write_text(config)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = [
            f"--config.file={config_path}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
        ]
        self._process = Process("prometheus", [require("prometheus"), *options], folder)

    def start(self) -> Self:
        self._process.start(lambda: answers(f"{self.url}/-/ready"), seconds=30)
        return self

    def stop(self) -> None:
        self._process.stop()

    def log(self) -> str:
        return self._process.log()

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector now: ``[{"metric": {...}, "value": [time, "text"]}, ...]``."""
        return self._api("query", query=promql)["result"]

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped, with ``health`` and ``lastError``."""
        return self._api("targets")["activeTargets"]

    def rules(self) -> list[dict[str, Any]]:
        """The rule groups that were loaded."""
        return self._api("rules")["groups"]

    def _api(self, name: str, **params: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{name}", params=params, timeout=10, trust_env=False).json()
        assert answer["status"] == "success", f"{name} {params}: {answer.get('error')}"
        return answer["data"]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
