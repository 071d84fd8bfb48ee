"""Verbs on container images: image, smoke, sbom."""

import argparse
import json
from pathlib import Path
from typing import Any

from fraud import command
from fraud.argument_types import positive
from fraud.command import Verbs
from fraud.settings import MODEL_NAME
from training.console import Steps
from training.shipping import image, sbom, smoke
from training.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    build = command.subcommand(
        verbs,
        "image",
        _image,
        "Build a container image that holds one model: the champion, or without FRAUD_S3_URI a local one.",
        f"{PROGRAM} image",
        f"{PROGRAM} image --version abcdef123456 --tag registry.example/fraud:candidate",
    )
    build.add_argument(
        "--version",
        metavar="V",
        help="model version; by default the champion, else FRAUD_MODEL, the chosen or the newest",
    )
    build.add_argument("--tag", metavar="NAME:TAG", help=f"name of the image; {MODEL_NAME}:<model version> by default")
    build.add_argument("--platform", metavar="OS/ARCH", help="such as linux/arm64; that of this machine by default")
    build.add_argument("--backend", choices=image.ENGINES, help="container engine; the first that answers by default")

    check = command.subcommand(
        verbs,
        "smoke",
        _smoke,
        "Run a container image and check /readyz, the sample request, the model version and /metrics.",
        f"{PROGRAM} smoke fraud_detector:abcdef123456 --version abcdef123456",
    )
    check.add_argument("image", metavar="IMAGE", help="name of the image")
    check.add_argument("--version", required=True, metavar="V", help="model version that it must serve")
    check.add_argument("--seconds", type=positive, default=60, help="longest wait for /readyz (default 60)")

    contents = command.subcommand(
        verbs,
        "sbom",
        _sbom,
        "Write the CycloneDX list of what a container image holds: packages and the model.",
        f"{PROGRAM} sbom fraud_detector:abcdef123456 --version abcdef123456 --output sbom.cdx.json",
    )
    contents.add_argument("image", metavar="IMAGE", help="name of the image")
    contents.add_argument("--version", required=True, metavar="V", help="version of the model in it")
    contents.add_argument("--output", type=Path, required=True, metavar="FILE", help="JSON file to write")


def _image(arguments: argparse.Namespace) -> dict[str, str]:
    return image.build(arguments.version, arguments.tag, arguments.backend, Steps(), arguments.platform)


def _smoke(arguments: argparse.Namespace) -> dict[str, Any]:
    return smoke.smoke(arguments.image, arguments.version, arguments.seconds, Steps())


def _sbom(arguments: argparse.Namespace) -> dict[str, Any]:
    document = sbom.document(arguments.image, arguments.version, sbom.look(arguments.image))
    arguments.output.write_text(json.dumps(document, indent=2))
    return {"output": str(arguments.output), "components": len(document["components"])}
