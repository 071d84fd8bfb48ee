"""The list of what an image holds."""

import pytest

from fraud.errors import FraudError
from training.shipping import image, sbom

FOUND = {
    "python": "3.11.9",
    "distributions": [["numpy", "2.3.0", "BSD-3-Clause"], ["Typing_Extensions", "4.1", None], ["numpy", "2.3.0", None]],
    "debian": ["libc6 2.36-9+deb12u4 amd64", ""],
}


def test_the_model_and_each_package_are_listed_once():
    """Components carry a package URL; a distribution found on two paths is one component."""
    listed = sbom.document("fraud_detector:abc", "abc", FOUND)
    assert [(item["type"], item.get("purl", item["bom-ref"])) for item in listed["components"]] == [
        ("machine-learning-model", "fraud_detector:abc"),
        ("library", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64"),
        ("library", "pkg:pypi/numpy@2.3.0"),
        ("library", "pkg:pypi/typing-extensions@4.1"),
    ]


def test_the_document_names_the_image():
    """CycloneDX 1.6, with the image as its subject."""
    listed = sbom.document("ghcr.io/a/b:abc", "abc", FOUND)
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    subject = listed["metadata"]["component"]
    assert (subject["type"], subject["name"], subject["version"]) == ("container", "ghcr.io/a/b", "abc")


def test_an_image_that_does_not_run_is_a_stated_error(tmp_path, monkeypatch):
    """With what the engine said."""
    engine = tmp_path / "engine"
    engine.write_text("#!/bin/sh\necho no such image >&2; exit 125\n")
    engine.chmod(0o755)
    monkeypatch.setattr(image, "find_engine", lambda _: str(engine))
    with pytest.raises(FraudError, match="cannot be looked into: no such image"):
        sbom.look("nothing:here")
