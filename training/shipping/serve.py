"""``make run``: make sure there is a model to serve, say which, and hand over to ``bentoml serve``."""

import os
import socket
import sys

from fraud import store
from fraud.errors import RegistryError, SettingsError
from fraud.remote import registry
from fraud.settings import MODEL_NAME, Settings
from training.console import Steps


def choose_model(settings: Settings, steps: Steps) -> str:
    """Tag of the model to serve; one that is damaged or not exact is not chosen.

    A version that ``FRAUD_MODEL`` names. Else, with ``FRAUD_S3_URI``, the champion, pulled and verified; when S3 cannot
    give it, the champion last seen, or the newest local model. Without ``FRAUD_S3_URI`` the newest local model, and
    when there is none at all, one trained on the sample. Raises ModelError or RegistryError when nothing can be served.
    """
    pinned = not settings.model.endswith(":latest")
    if settings.s3_uri and not pinned:
        tag = _champion_or_local(settings, steps)
    else:
        if not pinned and not store.versions():
            from training.run import Plan, run

            steps.warn("no model yet: training one on the embedded sample (synthetic, for trying things out)")
            run(Plan(["sample"]), steps)
        tag = str(store.get(settings.model).tag)
        steps.say(f"serving the local {tag}")
    store.open_served(store.get(tag))
    return tag


def _champion_or_local(settings: Settings, steps: Steps) -> str:
    remote = registry.Registry(str(settings.s3_uri).rstrip("/"))
    try:
        found = remote.pointer.read()
        if found is None:
            raise RegistryError.no_champion(remote.uri)
        version = remote.pull(found[0].model_version).model_version
        store.remember_champion(version)
        steps.say(f"serving the champion {MODEL_NAME}:{version} of {remote.uri}, pulled and verified")
        return f"{MODEL_NAME}:{version}"
    except RegistryError as error:
        if not store.versions():
            raise RegistryError(f"{error}; and there is no local model to serve instead") from None
        known = store.remembered_champion()
        tag = f"{MODEL_NAME}:{known}" if known else str(store.get(settings.model).tag)
        steps.warn(
            f"{error}; serving the local model instead: {'the last champion,' if known else 'the newest,'} {tag}"
        )
        return tag


def serve(host: str, port: int) -> None:
    """Replace this process by ``bentoml serve`` on the chosen model. Never returns.

    Raises SettingsError when the address is taken: BentoML would find out only after it has wiped the metrics of a
    server that runs on the same ``BENTOML_HOME``.
    """
    _check_free(host, port)
    tag = choose_model(Settings.from_env(), Steps())
    arguments = ["serve", "service:FraudDetector", "--host", host, "--port", str(port)]
    os.execve(  # noqa: S606 - the server takes this process's place, its signals and its exit code
        sys.executable, [sys.executable, "-m", "bentoml", *arguments], {**os.environ, "FRAUD_MODEL": tag}
    )


def _check_free(host: str, port: int) -> None:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise SettingsError(f"{host}:{port} cannot be listened on ({error.strerror}); choose HOST= and PORT=") from None
