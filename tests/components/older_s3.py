"""An S3 server that knows less, as many do: a small proxy before a real one that checks no signatures."""

import http.client
import http.server
from typing import Literal

from tests.components.background import Background

REFUSED = (
    b"<Error><Code>InvalidArgument</Code><Message>Unsupported header received for this API call.</Message></Error>"
)
CONDITIONS = {"if-match", "if-none-match"}
CHECKSUMS = ("x-amz-sdk-checksum", "x-amz-checksum")
OURS = {"connection", "content-length", "date", "server", "transfer-encoding"}


class OlderS3(Background):
    """``conditions``: If-Match and If-None-Match are taken and ignored; ``checksums``: a call with one is refused."""

    def __init__(self, lacks: Literal["conditions", "checksums"], upstream: str) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(lacks, upstream))
        self.url = f"http://127.0.0.1:{self._server.server_port}"


def _handler(lacks: str, upstream: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5  # an idle connection would keep the server from closing

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if lacks == "checksums" and any(name.lower().startswith(CHECKSUMS) for name in self.headers):
                self.answer(400, [("Content-Type", "application/xml")], REFUSED)
                return
            dropped = {"connection", "expect"} | (CONDITIONS if lacks == "conditions" else set())
            connection = http.client.HTTPConnection(upstream.removeprefix("http://"))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            connection.request(self.command, self.path, body, kept)
            answer = connection.getresponse()
            headers = [pair for pair in answer.getheaders() if pair[0].lower() not in OURS]
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.answer(answer.status, headers, answer.read(), length)
            connection.close()

        def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None) -> None:
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", length or str(len(body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    return Handler
