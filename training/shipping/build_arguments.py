"""What the build of an image is told of where it runs: package index, proxy, and whose certificates to trust."""

import re
from collections.abc import Mapping
from pathlib import Path

from fraud.errors import FraudError
from fraud.settings import CERTIFICATE_VARIABLES, INDEX_VARIABLES

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Container engines know these as arguments of a build without being told, and keep them out of its history."""

CERTIFICATES = Path("env", "docker", "ca.pem")
"""Where the caller's certificates are in the Bento; this folder is copied before anything is installed."""

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_IN_IMAGE = Path("/home/bentoml/bento") / CERTIFICATES


def arguments_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's package index and proxy; of pip and uv each asks the other's index where it has none of its own.

    Raises FraudError for an address that may hold a secret: arguments of a build stay in the image's history.
    """
    given = _set(environment, INDEX_VARIABLES)
    for name, value in given.items():
        if "@" in value or "?" in value:
            raise FraudError(
                f"{name} holds an @ or a ?, so perhaps a secret, which would stay in the image's history: name one "
                f"that needs none, or leave it out of this command (`{name}= make image`)"
            )
    if index := given.get("UV_DEFAULT_INDEX") or given.get("UV_INDEX_URL"):
        given.setdefault("PIP_INDEX_URL", index.split("=", 1)[-1])  # uv's may be NAME=ADDRESS
    elif "PIP_INDEX_URL" in given:
        given["UV_DEFAULT_INDEX"] = given["PIP_INDEX_URL"]
    return given | _set(environment, PROXY_VARIABLES)


def certificates_of(environment: Mapping[str, str]) -> str | None:
    """What the caller trusts instead of the usual certificates, from the file of the first variable that names one.

    Of the file its certificates alone: a key beside them does not belong in an image. Raises FraudError without any.
    """
    for name, value in _set(environment, CERTIFICATE_VARIABLES).items():
        try:
            found = _CERTIFICATE.findall(Path(value).expanduser().read_text(errors="replace"))
        except OSError as error:
            raise _no_certificates(name, value, error.strerror or str(error)) from None
        if not found:
            raise _no_certificates(name, value, "it has none")
        return "".join(f"{one}\n" for one in found)
    return None


def add_certificates(bento: Path, certificates: str) -> dict[str, str]:
    """Put them into the Bento; the arguments that say so to pip and uv."""
    target = bento / CERTIFICATES
    target.write_text(certificates)
    target.chmod(0o644)
    return dict.fromkeys(CERTIFICATE_VARIABLES, str(_IN_IMAGE))


def _no_certificates(name: str, value: str, problem: str) -> FraudError:
    return FraudError(f"{name}={value}: expected a file of certificates (PEM); {problem}")


def _set(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: environment[name] for name in names if environment.get(name, "").strip()}
