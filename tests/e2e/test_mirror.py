"""Behind a company's mirror, proxy and certificate: ``make setup``, and uv as the build of an image calls it.

The image itself is in tests/e2e/test_bundle.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components import require
from tests.components.mirror import Mirror, make_certificate, make_wheel
from tests.e2e.conftest import REPOSITORY

pytestmark = pytest.mark.e2e

OF_THE_MACHINE = ("PIP_", "UV_", "SSL_CERT", "REQUESTS_CA", "CURL_CA")


def told(**variables):
    """This environment with no other word of indexes, proxies and certificates than ``variables``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OF_THE_MACHINE) and not name.lower().endswith("_proxy")
    }
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0", **variables}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with one wheel, and requirements that name it."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "dev.txt").write_text(make_wheel(folder, "tiny"))
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def checkout(packages, tmp_path):
    """What ``make setup`` reads, with another list of requirements."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    shutil.copy(packages / "dev.txt", tmp_path / "requirements")
    return tmp_path


def make_setup(checkout, **variables):
    """The exit code and the words; whether the package is there is for the test."""
    words = ["make", "setup", f"PYTHON={sys.executable}"]
    done = subprocess.run(words, cwd=checkout, env=told(**variables), capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def is_there(checkout):
    return not subprocess.run([checkout / ".venv/bin/python", "-c", "import tiny"], capture_output=True).returncode


@pytest.mark.parametrize(
    ("index", "trusted"),
    [("PIP_INDEX_URL", "PIP_CERT"), ("UV_DEFAULT_INDEX", "REQUESTS_CA_BUNDLE"), ("UV_INDEX_URL", "SSL_CERT_FILE")],
)
def test_setup_takes_packages_from_the_callers_mirror(checkout, packages, certificate, index, trusted):
    """Whichever variable names it, and whichever names its certificate."""
    with Mirror(packages, certificate) as mirror:
        code, said = make_setup(checkout, **{index: f"{mirror.url}/simple", trusted: str(certificate)})
    assert code == 0, said
    assert is_there(checkout)
    assert mirror.asked == ["/simple/tiny/", "/tiny-1-py3-none-any.whl"]


def test_a_mirror_whose_certificate_nobody_names_is_not_trusted(checkout, packages, certificate):
    """Nothing is installed, and the next call tries again."""
    with Mirror(packages, certificate) as mirror:
        code, said = make_setup(checkout, UV_DEFAULT_INDEX=f"{mirror.url}/simple")
    assert code != 0
    assert "No matching distribution found for tiny==1" in said
    assert mirror.asked == []
    assert not (checkout / ".venv/.ready").exists()
    assert not is_there(checkout)


def test_setup_goes_through_the_callers_proxy(checkout, packages):
    """A name that no resolver knows is asked for through it."""
    index = {"UV_DEFAULT_INDEX": "http://mirror.invalid/simple", "PIP_TRUSTED_HOST": "mirror.invalid"}
    with Mirror(packages) as proxy:
        code, said = make_setup(checkout, **index, HTTP_PROXY=proxy.url, http_proxy=proxy.url)
    assert code == 0, said
    assert is_there(checkout)
    assert proxy.asked[0] == "http://mirror.invalid/simple/tiny/"


def test_uv_trusts_what_a_build_tells_it(packages, certificate, tmp_path):
    """By the variables of training.shipping.build_arguments, which pip in a build takes as ``make setup`` does."""
    words = [require("uv"), "pip", "install", "--no-cache", "--target", tmp_path, "--requirement", packages / "dev.txt"]
    with Mirror(packages, certificate) as mirror:
        env = told(UV_DEFAULT_INDEX=f"{mirror.url}/simple", SSL_CERT_FILE=str(certificate))
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path, "tiny.py").exists()
