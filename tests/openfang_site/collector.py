"""A collector of OpenTelemetry traces that keeps what it is sent (OTLP over HTTP, protobuf)."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.live.asking import eventually
from tests.live.background import Background

Span = Any


class Collector(Background):
    """Holds every span it has received; while `held` is set it takes requests and does not answer."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
                collector.asked.set()
                collector.answers.wait(60)
                assert self.path == "/v1/traces"
                for of_resource in sent.resource_spans:
                    collector.resources.append(attributes(of_resource.resource))
                    collector.spans += [span for scope in of_resource.scope_spans for span in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        super().__exit__()

    def trace(self, trace_id: str, spans: int) -> list[Span]:
        """The spans of a trace as they were sent, a run before its calls, once there are so many."""

        def found() -> list[Span] | None:
            ours = [span for span in self.spans if span.trace_id.hex() == trace_id]
            return ours if len(ours) >= spans else None

        trace: list[Span] = eventually(found)
        assert len(trace) == spans
        return trace


def attributes(told: Any) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in told.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
