"""Spans of calls: what a caller needs to know, and an end that waits for no collector.

BentoML makes them where its configuration asks for it (``deploy/tracing.yaml``); they go on with the trace of the
caller's ``traceparent``. OpenTelemetry is imported where it is used: BentoML brings it along.
"""

import threading
from typing import Any

from serving.telemetry import request_id

DRAIN_SECONDS = 3.0
"""How long the end of a worker waits for spans to be sent."""


def start(provider: Any, model_version: str | None) -> None:  # noqa: ANN401 - a TracerProvider of OpenTelemetry's SDK
    """Have each call's span say its route, its id and the model; nothing with None, where tracing is off."""
    if provider is None:
        return
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import SpanKind

    class OfCall(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ANN401, ARG002
            """The Edge has the id by now."""
            if span.kind is SpanKind.SERVER:
                route = span.attributes.get("http.target") or span.attributes.get("url.path")
                facts = {
                    "http.route": route,
                    "fraud.request_id": request_id.current.get(),
                    "fraud.model_version": model_version,
                }
                span.set_attributes({name: value for name, value in facts.items() if value})

    provider.add_span_processor(OfCall())


def close(provider: Any) -> None:  # noqa: ANN401
    """Send what waits, for at most ``DRAIN_SECONDS``: a collector that is away must not hold up the end."""
    if provider is None:
        return
    sending = threading.Thread(target=provider.shutdown, name="fraud-spans", daemon=True)
    sending.start()
    sending.join(DRAIN_SECONDS)


def describe(**facts: str | int) -> None:
    """Add ``fraud.*`` facts to the span of the call at hand, where there is one."""
    from opentelemetry import trace

    trace.get_current_span().set_attributes({f"fraud.{name}": value for name, value in facts.items()})


def span_ids() -> dict[str, str]:
    """``trace_id`` and ``span_id`` of the call at hand where somebody collects its trace, in hexadecimal digits."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
