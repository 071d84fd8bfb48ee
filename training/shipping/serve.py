"""``make run``: make sure there is a model to serve, say which, and hand over to ``bentoml serve``."""

import os
import socket
import sys

from fraud import home, store
from fraud.choice import local
from fraud.choice.local import LATEST, Choice, choose, chosen
from fraud.errors import RegistryError, SettingsError
from fraud.remote.resolve import CHAMPION, bare_name, registry, resolve
from fraud.settings import MODEL_NAME, Settings
from training.console import Steps


def choose_model(settings: Settings, steps: Steps) -> str:
    """Tag of the model to serve; one that is damaged or not exact is not chosen.

    A version that ``FRAUD_MODEL`` names. Else, with ``FRAUD_S3_URI``, the champion, pulled and verified; when S3 cannot
    give it, the champion last seen, or the local choice. Without ``FRAUD_S3_URI`` the local choice: the model chosen
    with ``training use``, else the newest, and when there is none at all, one trained on the sample. Raises ModelError
    or RegistryError when nothing can be served.
    """
    pinned = settings.model is not None and bare_name(settings.model) != LATEST
    if settings.s3_uri and not pinned:
        tag = _champion_or_local(settings, steps)
    else:
        if not pinned and not store.versions() and chosen() is None:
            from training.run import TrainingPlan, run

            steps.warn("no model yet: training one on the embedded sample (synthetic, for trying things out)")
            run(TrainingPlan(["sample"]), steps)
        choice = choose(settings.model)
        tag = f"{MODEL_NAME}:{store.get(choice.tag).tag.version}"  # or it is an error, before anything is said
        steps.say(f"serving the local {tag}, {choice.why}")
    store.open_served(store.get(tag))
    return tag


def _champion_or_local(settings: Settings, steps: Steps) -> str:
    remote = registry(settings)
    try:
        champion = resolve(CHAMPION, remote)
        remote.pull(champion.version)
        local.remember_champion(champion.version)
        steps.say(f"serving the champion {champion.tag} of {remote.uri}, pulled and verified")
        return champion.tag
    except RegistryError as error:
        if not store.versions():
            raise RegistryError(f"{error}; and there is no local model to serve instead") from None
        last = local.remembered_champion()
        choice = Choice(last, "the last champion") if last else choose(None)
        steps.warn(f"{error}; serving the local model instead: {choice.tag}, {choice.why}")
        return choice.tag


def serve(host: str, port: int) -> None:
    """Replace this process by ``bentoml serve`` on the chosen model. Never returns.

    ``host`` is an address or a name of this machine. Raises SettingsError, before any work, when it is neither or is
    taken, and when another server runs on the same ``BENTOML_HOME``.
    """
    address = _free_address(host, port)
    home.check_unclaimed(home.folder())
    tag = choose_model(Settings.from_env(), Steps())
    arguments = ["serve", "service:FraudDetector", "--host", address, "--port", str(port)]
    env = {name: value for name, value in os.environ.items() if name != "FRAUD_S3_URI"}  # it has done its part
    os.execve(  # noqa: S606 - the server takes this process's place, its signals and its exit code
        sys.executable, [sys.executable, "-m", "bentoml", *arguments], {**env, "FRAUD_MODEL": tag}
    )


def _free_address(host: str, port: int) -> str:
    """The address of ``host`` that can be listened on: BentoML takes no names. Of several, one of IPv4."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"HOST={host}: neither an address nor a name of this machine ({getattr(error, 'strerror', error)}); "
            "set HOST=127.0.0.1, or HOST=0.0.0.0 for every address"
        ) from None
    family, address = min((family, str(where[0])) for family, _, _, _, where in found)
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        raise SettingsError(f"{host}:{port} cannot be listened on ({error.strerror}); choose HOST= and PORT=") from None
    return address
