"""``make run``: make sure there is a model to serve, say which, and hand over to ``bentoml serve``."""

import logging
import os
import sys

from fraud import registry, store
from fraud.errors import RegistryError
from fraud.settings import MODEL_NAME, Settings
from training.console import Steps

LOG = logging.getLogger(__name__)


def choose_model(settings: Settings, steps: Steps) -> str:
    """Tag of the model to serve.

    With ``FRAUD_S3_URI`` the champion, pulled and verified; when S3 cannot give one, or without it, the model that
    ``FRAUD_MODEL`` names, the newest local one by default; and when there is none at all, one trained on the sample.
    """
    if settings.s3_uri:
        try:
            return _champion(registry.Registry(settings.s3_uri.rstrip("/")), steps)
        except RegistryError as error:
            steps.warn(f"{error}; serving the local model instead")
    if settings.model.endswith(":latest") and not store.versions():
        from training.run import Plan, run

        steps.warn("no model yet: training one on the embedded sample (synthetic, for trying things out)")
        run(Plan(["sample"]), steps)
    entry = store.get(settings.model)
    steps.say(f"serving the local {entry.tag}")
    return str(entry.tag)


def _champion(remote: registry.Registry, steps: Steps) -> str:
    found = remote.pointer.read()
    if found is None:
        raise RegistryError(f"{remote.uri}: there is no champion yet")
    manifest = remote.pull(found[0].model_version)
    steps.say(f"serving the champion {MODEL_NAME}:{manifest.model_version} of {remote.uri}, pulled and verified")
    return f"{MODEL_NAME}:{manifest.model_version}"


def serve(host: str, port: int) -> None:
    """Replace this process by ``bentoml serve`` on the chosen model. Never returns."""
    tag = choose_model(Settings.from_env(), Steps())
    arguments = ["serve", "service:FraudDetector", "--host", host, "--port", str(port)]
    os.execve(  # noqa: S606 - the server takes this process's place, its signals and its exit code
        sys.executable, [sys.executable, "-m", "bentoml", *arguments], {**os.environ, "FRAUD_MODEL": tag}
    )
