"""A package index of the test's own on 127.0.0.1, which is a proxy too, and notes what it was asked."""

import hashlib
import ssl
import subprocess
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.components.background import Background
from tests.components.require import require


class Mirror(Background):
    """Serves the wheels of ``packages``; over TLS where a ``certificate`` with its key is given."""

    def __init__(self, packages: Path | None = None, certificate: Path | None = None) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                name = self.path.rpartition("/")[2]
                page = "".join(f'<a href="/{wheel.name}">{wheel.name}</a>' for wheel in _wheels(packages, self.path))
                found = packages / name if packages and name else None
                body = found.read_bytes() if found and found.is_file() else page.encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "application/octet-stream" if found else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:  # uv's, before it takes a part of a wheel
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """To nobody."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_address[1]}"


def _wheels(packages: Path | None, path: str) -> list[Path]:
    """Those of the page ``.../NAME/``."""
    name = path.rstrip("/").rpartition("/")[2]
    return sorted(packages.glob(f"{name}-*.whl")) if packages and path.endswith("/") and name else []


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key in the same file."""
    file = folder / "certificate.pem"
    words = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=mirror"]
    words += ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(folder / "key.pem"), "-out", str(file)]
    subprocess.run(words, check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "key.pem").read_text())
    return file


def make_wheel(folder: Path, name: str) -> str:
    """A wheel of one empty module; its line in a file of requirements."""
    wheel = folder / f"{name}-1-py3-none-any.whl"
    facts = f"{name}-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        archive.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{facts}/RECORD", f"{name}.py,,\n{facts}/METADATA,,\n{facts}/WHEEL,,\n{facts}/RECORD,,\n")
    return f"{name}==1 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
