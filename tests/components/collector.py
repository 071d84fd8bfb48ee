"""A stand-in for an OpenTelemetry collector: takes spans by OTLP over HTTP and keeps them, decoded."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.components.background import Background


class Collector(Background):
    """Listens on ``url``; ``spans`` holds what came."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        """Each with its name, kind, ids in hexadecimal digits, and attributes."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
                if self.path == "/v1/traces":
                    spans.extend(decoded(span) for part in sent.resource_spans for span in of_scopes(part))
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def calls(self) -> list[dict[str, Any]]:
        """The spans of whole calls."""
        return [span for span in self.spans if span["is_call"]]


def of_scopes(part: Any) -> list[Any]:
    return [span for scope in part.scope_spans for span in scope.spans]


def decoded(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "is_call": span.kind == span.SPAN_KIND_SERVER,
        "trace": span.trace_id.hex(),
        "parent": span.parent_span_id.hex(),
        **{one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes},
    }
