"""``python -m training sbom``: what is in a container image, as a CycloneDX document.

The image is asked, not the requirements: Python distributions, Debian packages, and the model itself
(https://cyclonedx.org/docs/1.6/json/).
"""

import argparse
import json
import subprocess
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fraud import command
from fraud.errors import FraudError
from fraud.settings import MODEL_NAME
from training.shipping import image
from training.verbs.arguments import PROGRAM

SPEC_VERSION = "1.6"

_LOOK = """
import importlib.metadata, json, platform, subprocess
found = {
    "python": platform.python_version(),
    "distributions": [[d.metadata["Name"], d.version, d.metadata.get("License-Expression")]
                      for d in importlib.metadata.distributions()],
    "debian": subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\\n"],
                             capture_output=True, text=True).stdout.split("\\n"),
}
print(json.dumps(found))
"""


def add_to(verbs: Any) -> None:  # noqa: ANN401 - argparse names its type privately
    """Register the verb."""
    sbom = command.subcommand(
        verbs,
        "sbom",
        _sbom,
        "Write the CycloneDX list of what a container image holds: packages and the model.",
        f"{PROGRAM} sbom fraud_detector:abcdef123456 --version abcdef123456 --output sbom.cdx.json",
    )
    sbom.add_argument("image", metavar="IMAGE", help="name of the image")
    sbom.add_argument("--version", required=True, metavar="V", help="version of the model in it")
    sbom.add_argument("--output", type=Path, required=True, metavar="FILE", help="JSON file to write")


def _sbom(given: argparse.Namespace) -> dict[str, Any]:
    listed = document(given.image, given.version, look(given.image))
    given.output.write_text(json.dumps(listed, indent=2))
    return {"output": str(given.output), "components": len(listed["components"])}


def look(name: str) -> dict[str, Any]:
    """What the image's own Python finds in it. Raises FraudError when the image cannot be run."""
    engine = image.find_engine(None)
    words = [engine, "run", "--pull=never", "--rm", "--network=none", "--entrypoint", "python", name, "-c", _LOOK]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise FraudError(f"{name}: cannot be looked into: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def document(name: str, version: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The CycloneDX document of an image from what was found in it; components sorted, each named once."""
    subject, _, tag = name.rpartition(":")
    python = [_python(*distribution) for distribution in found["distributions"]]
    debian = [_debian(*line.split()) for line in found["debian"] if line]
    components = {item["bom-ref"]: item for item in [_model(version), *python, *debian]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "container", "bom-ref": name, "name": subject or name, "version": tag},
            "properties": [{"name": "python", "value": found["python"]}],
        },
        "components": [components[ref] for ref in sorted(components)],
    }


def _model(version: str) -> dict[str, Any]:
    reference = f"{MODEL_NAME}:{version}"
    return {"type": "machine-learning-model", "bom-ref": reference, "name": MODEL_NAME, "version": version}


def _python(name: str, version: str, license_expression: str | None) -> dict[str, Any]:
    url = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
    licenses = {"licenses": [{"expression": license_expression}]} if license_expression else {}
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url, **licenses}


def _debian(name: str, version: str, architecture: str) -> dict[str, Any]:
    url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}
