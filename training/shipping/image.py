"""``make image``: a container image of one model, built from a model store that holds nothing else.

``bentoml build`` takes whatever ``latest`` is in the store at hand. Here a temporary store gets the one model to ship,
pulled and verified or exported, so that a newer local model, or one that the gate refused, cannot slip in.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fraud import store
from fraud.choice.local import LATEST, Choice, choose
from fraud.errors import FraudError, RegistryError
from fraud.remote.registry import Registry
from fraud.remote.resolve import CHAMPION, bare_name, registry_if_set
from fraud.settings import MODEL_NAME, Settings
from training.console import Steps
from training.shipping import build_arguments

ENGINES = ("docker", "podman")

_ROOT = Path(__file__).parents[2]  # where bentofile.yaml is
_BENTOML = (sys.executable, "-m", "bentoml")
_TAIL_LINES = 20
_UMASK = 0o022  # what BentoML writes into the image is read by any user, whoever builds it
_SYNTHETIC = "synthetic-"


def build(
    version: str | None, tag: str | None, backend: str | None, steps: Steps, platform: str | None = None
) -> dict[str, str]:
    """Build and tag the image; what it is called, here and in a registry, and which model it holds.

    With ``FRAUD_S3_URI`` the model is pulled: ``version``, else the champion; there is no falling back when S3 cannot
    give it. Raises FraudError without a container engine, and with the end of the log when a step fails.
    """
    engine = find_engine(backend)
    told = build_arguments.arguments_of(os.environ)
    certificates = build_arguments.certificates_of(os.environ)
    remote = registry_if_set()
    if version is not None:
        version = _may_ship(version, remote)
    with tempfile.TemporaryDirectory(prefix="fraud-image-") as home:
        env = {**os.environ, "BENTOML_HOME": home}
        steps.start("model", "Filling a fresh model store")
        model, synthetic = _pull(version or CHAMPION, env, steps) if remote else _copy(version, env, steps)
        steps.done(model)
        shipped = model.removeprefix(f"{MODEL_NAME}:")
        env["FRAUD_MODEL"] = model
        steps.start("build", "Building the Bento")
        _run("bentoml build", [*_BENTOML, "build", "--version", shipped], env, steps)
        if certificates:
            told |= build_arguments.add_certificates(Path(home, "bentos", MODEL_NAME, shipped), certificates)
        for folder in ("bentos", "models"):
            let_all_read(Path(home, folder))
        steps.done(model)
        image = tag or model
        steps.start("image", f"Building the image with {engine}")
        options = ["--backend", engine, "--image-tag", image]
        options += [f"--opt=build-arg={name}={value}" for name, value in told.items()]
        options += [f"--opt=platform={platform}"] if platform else []
        _run("bentoml containerize", [*_BENTOML, "containerize", model, *options], env, steps)
        steps.done(image)
    named = f"{_SYNTHETIC}{shipped}" if synthetic else shipped
    return {"image": image, "model_version": shipped, "bento": model, "registry_tag": named}


def let_all_read(folder: Path) -> None:
    """Give every user the right to read it: modes go into the image, which may run as a user that it does not know.

    So OpenShift runs it. BentoML keeps a model in a folder of its owner's, and a checkout may have been made so.
    """
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _may_ship(name: str, remote: Registry | None) -> str:
    """The version. Raises FraudError for one that the gate refused, unless somebody once promoted it all the same."""
    version = bare_name(name)
    if version in (CHAMPION, LATEST):
        raise FraudError(f"--version takes a version, not {name!r}; without it the champion is built")
    if remote and remote.refused(version):
        promoted = {event.model_version for event in remote.pointer.history()}
        if version not in promoted:
            raise RegistryError.gate_refused(version, "`python -m training promote --override` comes first")
    return version


def find_engine(backend: str | None) -> str:
    """The container engine to use: ``backend``, or the first that answers. Raises FraudError when there is none."""
    tried = (backend,) if backend else ENGINES
    for name in tried:
        if shutil.which(name) and not subprocess.run([name, "ps"], capture_output=True).returncode:
            return name
    raise FraudError(f"no container engine answers to `{' ps` or `'.join(tried)} ps`; install one, or start its daemon")


def _pull(name: str, env: Mapping[str, str], steps: Steps) -> tuple[str, bool]:
    """Tag of the published model, once it is in the store of ``env``, and whether it was trained on generated rows.

    Every SHA-256 was verified.
    """
    said = json.loads(_run("the pull", [sys.executable, "-m", "training", "pull", name], env, steps))
    return str(said["tag"]), bool(said["synthetic"])


def _copy(version: str | None, env: Mapping[str, str], steps: Steps) -> tuple[str, bool]:
    """The same of the local model. Raises ModelError for one that would not serve."""
    import bentoml

    choice = Choice(version, "as --version says") if version else choose(Settings.from_env().model)
    entry = store.get(choice.tag)
    served = store.open_served(entry)
    steps.say(f"  the local {entry.tag}, {choice.why}")
    with tempfile.TemporaryDirectory(prefix="fraud-export-") as folder:
        archive = bentoml.models.export_model(entry.tag, str(Path(folder) / "model.bentomodel"))
        _run("bentoml models import", [*_BENTOML, "models", "import", archive], env, steps)
    return str(entry.tag), served.manifest.synthetic


def _run(name: str, arguments: Sequence[str], env: Mapping[str, str], steps: Steps) -> str:
    """The standard output of a child process. Raises FraudError, and shows the end of what it said, when it fails."""
    done = subprocess.run(arguments, cwd=_ROOT, env=env, capture_output=True, text=True, umask=_UMASK)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:]
        steps.quote(said)
        raise FraudError(f"{name} failed with exit code {done.returncode}; the end of what it said is above")
    return done.stdout
