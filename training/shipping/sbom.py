"""``python -m training sbom``: what is in a container image, as a CycloneDX document.

The image is asked, not the requirements: Python distributions, Debian packages, and the model itself
(https://cyclonedx.org/docs/1.6/json/).
"""

import json
import subprocess
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fraud.errors import FraudError
from fraud.settings import MODEL_NAME
from training.shipping import image

SPEC_VERSION = "1.6"

_LOOK = """
import importlib.metadata, json, platform, subprocess
contents = {
    "python": platform.python_version(),
    "distributions": [[d.metadata["Name"], d.version, d.metadata.get("License-Expression")]
                      for d in importlib.metadata.distributions()],
    "debian": subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\\n"],
                             capture_output=True, text=True).stdout.split("\\n"),
}
print(json.dumps(contents))
"""


def look(name: str) -> dict[str, Any]:
    """What the image's own Python finds in it. Raises FraudError when the image cannot be run."""
    engine = image.find_engine(None)
    words = [engine, "run", "--pull=never", "--rm", "--network=none", "--entrypoint", "python", name, "-c", _LOOK]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise FraudError(f"{name}: cannot be looked into: {done.stderr.strip()}")
    contents: dict[str, Any] = json.loads(done.stdout)
    return contents


def document(name: str, version: str, contents: Mapping[str, Any]) -> dict[str, Any]:
    """The CycloneDX document of an image from what ``look`` found in it; components sorted, each named once."""
    subject, _, tag = name.rpartition(":")
    python = [_python(*distribution) for distribution in contents["distributions"]]
    debian = [_debian(*line.split()) for line in contents["debian"] if line]
    components = {item["bom-ref"]: item for item in [_model(version), *python, *debian]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "container", "bom-ref": name, "name": subject or name, "version": tag},
            "properties": [{"name": "python", "value": contents["python"]}],
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
