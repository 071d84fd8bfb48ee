"""``make image``: a container image of one model, built from a model store that holds nothing else.

``bentoml build`` takes whatever ``latest`` is in the store at hand. Here a temporary store gets the one model to ship,
pulled and verified or exported, so that a newer local model, or one that the gate refused, cannot slip in.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fraud import command, store
from fraud.errors import FraudError, RegistryError
from fraud.settings import MODEL_NAME, Settings
from training.console import Steps
from training.verbs import arguments
from training.verbs.arguments import PROGRAM

ENGINES = ("docker", "podman")

_ROOT = Path(__file__).parents[2]  # where bentofile.yaml is
_BENTOML = (sys.executable, "-m", "bentoml")
_TAIL_LINES = 20


def add_to(verbs: Any) -> None:  # noqa: ANN401 - argparse names its type privately
    """Register the verb."""
    image = command.subcommand(
        verbs,
        "image",
        _image,
        "Build a container image that holds one model: the champion, or without FRAUD_S3_URI a local one.",
        f"{PROGRAM} image",
        f"{PROGRAM} image --version abcdef123456 --tag registry.example/fraud:candidate",
    )
    image.add_argument(
        "--version", metavar="V", help="model version; the champion, FRAUD_MODEL or the newest by default"
    )
    image.add_argument("--tag", metavar="NAME:TAG", help=f"name of the image; {MODEL_NAME}:<model version> by default")
    image.add_argument("--backend", choices=ENGINES, help="container engine; the first that answers by default")


def _image(given: argparse.Namespace) -> dict[str, str]:
    return build(given.version, given.tag, given.backend, Steps())


def build(version: str | None, tag: str | None, backend: str | None, steps: Steps) -> dict[str, str]:
    """Build and tag the image; what it is called and which model it holds.

    With ``FRAUD_S3_URI`` the model is pulled: ``version``, else the champion; there is no falling back when S3 cannot
    give it. Raises FraudError without a container engine, and with the end of the log when a step fails.
    """
    engine = find_engine(backend)
    if version is not None:
        _check_may_ship(version)
    with tempfile.TemporaryDirectory(prefix="fraud-image-") as home:
        env = {**os.environ, "BENTOML_HOME": home}
        steps.start("model", "Filling a fresh model store")
        model = _pull(version, env) if Settings.from_env().s3_uri else _copy(version, env)
        steps.done(model)
        shipped = model.removeprefix(f"{MODEL_NAME}:")
        env["FRAUD_MODEL"] = model
        steps.start("build", "Building the Bento")
        _run("bentoml build", [*_BENTOML, "build", "--version", shipped], env)
        steps.done(model)
        image = tag or model
        steps.start("image", f"Building the image with {engine}")
        options = ["--backend", engine, "--image-tag", image]
        _run("bentoml containerize", [*_BENTOML, "containerize", model, *options], env)
        steps.done(image)
    return {"image": image, "model_version": shipped, "bento": model}


def _check_may_ship(version: str) -> None:
    """Raise FraudError for a version that the gate refused, unless somebody once promoted it all the same."""
    if version in ("champion", "latest"):
        raise FraudError(f"--version takes a version, not {version!r}; without it the champion is built")
    remote = arguments.registry() if Settings.from_env().s3_uri else None
    if remote and remote.refused(version):
        promoted = {event.model_version for event in remote.pointer.history()}
        if version not in promoted:
            raise RegistryError.gate_refused(version, f"`{PROGRAM} promote --override` comes first")


def find_engine(backend: str | None) -> str:
    """The container engine to use: ``backend``, or the first that answers. Raises FraudError when there is none."""
    tried = (backend,) if backend else ENGINES
    for name in tried:
        if shutil.which(name) and not subprocess.run([name, "ps"], capture_output=True).returncode:
            return name
    raise FraudError(f"no container engine answers to `{' ps` or `'.join(tried)} ps`; install one, or start its daemon")


def _pull(version: str | None, env: Mapping[str, str]) -> str:
    """Tag of the published model, once it is in the store of ``env``; every SHA-256 was verified."""
    said = _run("the pull", [sys.executable, "-m", "training", "pull", version or "champion"], env)
    return str(json.loads(said)["tag"])


def _copy(version: str | None, env: Mapping[str, str]) -> str:
    """Tag of the local model, once it is in the store of ``env``. Raises ModelError for one that would not serve."""
    import bentoml

    entry = store.get(f"{MODEL_NAME}:{version}" if version else Settings.from_env().model)
    store.open_served(entry)
    with tempfile.TemporaryDirectory(prefix="fraud-export-") as folder:
        archive = bentoml.models.export_model(entry.tag, str(Path(folder) / "model.bentomodel"))
        _run("bentoml models import", [*_BENTOML, "models", "import", archive], env)
    return str(entry.tag)


def _run(name: str, arguments: Sequence[str], env: Mapping[str, str]) -> str:
    """The standard output of a child process. Raises FraudError with the end of what it said when it fails."""
    done = subprocess.run(arguments, cwd=_ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:])
        raise FraudError(f"{name} failed with exit code {done.returncode}:\n{tail}")
    return done.stdout
