"""The real components that the e2e tests start: each in a folder of the test's own, on free ports, stopped after."""

from tests.components.alertmanager import Alertmanager
from tests.components.collector import Collector
from tests.components.container import Container, Engine, container_engine
from tests.components.github import GitHub
from tests.components.older_s3 import OlderS3
from tests.components.pgbouncer import PgBouncer
from tests.components.postgres import Postgres
from tests.components.process import ComponentError, Process, answers, free_port, free_ports, wait_until
from tests.components.prometheus import Prometheus
from tests.components.redis import Redis
from tests.components.require import missing, require, require_browser, require_engine
from tests.components.s3 import SeaweedFS
from tests.components.server import BentoServer

__all__ = [
    "Alertmanager",
    "BentoServer",
    "Collector",
    "ComponentError",
    "Container",
    "Engine",
    "GitHub",
    "OlderS3",
    "PgBouncer",
    "Postgres",
    "Process",
    "Prometheus",
    "Redis",
    "SeaweedFS",
    "answers",
    "container_engine",
    "free_port",
    "free_ports",
    "missing",
    "require",
    "require_browser",
    "require_engine",
    "wait_until",
]
