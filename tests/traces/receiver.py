"""A collector of OTLP on loopback, over gRPC and over HTTP, on OpenTelemetry's own published messages.

What arrives is kept as the messages that came, and never answered when it is told to hang.
"""

import ssl
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

HOST = "127.0.0.1"


class Received:
    """Everything that arrived, in order."""

    def __init__(self):
        self.changed = threading.Condition()
        self.traces = []
        self.metrics = []
        self.headers = []
        self.released = threading.Event()
        self.released.set()
        self.refusals = 0

    def refuse(self, times):
        """The next so many find no room, and may come again."""
        with self.changed:
            self.refusals = times

    def refuses(self):
        with self.changed:
            refused = self.refusals > 0
            self.refusals -= refused
            return refused

    def hang(self):
        """From now on nobody gets an answer."""
        self.released.clear()

    def release(self):
        self.released.set()

    def take(self, request, headers):
        with self.changed:
            self.headers.append(headers)
            kept = self.traces if isinstance(request, traces.ExportTraceServiceRequest) else self.metrics
            kept.append(request)
            self.changed.notify_all()
        self.released.wait()

    def spans(self):
        """Every span with the resource that sent it."""
        with self.changed:
            requests = list(self.traces)
        return [
            (span, resource.resource, scope.scope)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_until(self, holds, patience_s=30):
        """Waits until something holds of what has arrived; fails when it never does."""
        with self.changed:
            if not self.changed.wait_for(holds, patience_s):
                raise AssertionError(f"not within {patience_s} s: {len(self.spans())} spans arrived")


class _Traces(traces_grpc.TraceServiceServicer):
    def __init__(self, received):
        self.received = received

    def Export(self, request, context):
        if self.received.refuses():
            context.abort(grpc.StatusCode.UNAVAILABLE, "no room")
        self.received.take(request, dict(context.invocation_metadata()))
        return traces.ExportTraceServiceResponse()


class _Metrics(metrics_grpc.MetricsServiceServicer):
    def __init__(self, received):
        self.received = received

    def Export(self, request, context):
        self.received.take(request, dict(context.invocation_metadata()))
        return metrics.ExportMetricsServiceResponse()


class GrpcReceiver:
    protocol, scheme = "grpc", "http"

    def __init__(self, certificates=None):
        self.received = Received()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        traces_grpc.add_TraceServiceServicer_to_server(_Traces(self.received), self.server)
        metrics_grpc.add_MetricsServiceServicer_to_server(_Metrics(self.received), self.server)
        if certificates is None:
            self.port = self.server.add_insecure_port(f"{HOST}:0")
        else:
            self.scheme = "https"
            own = [(certificates.read("server.key"), certificates.read("server.crt"))]
            self.port = self.server.add_secure_port(f"{HOST}:0", grpc.ssl_server_credentials(
                own, root_certificates=certificates.read("ca.crt"), require_client_auth=True))
        self.server.start()

    def close(self):
        self.received.release()
        self.server.stop(grace=None).wait()


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # somebody who is not trusted, or does not trust: what comes of it is seen at the other end
        if not isinstance(sys.exc_info()[1], ssl.SSLError):
            super().handle_error(request, client_address)


class HttpReceiver:
    protocol, scheme = "http/protobuf", "http"

    def __init__(self, certificates=None):
        self.received = received = Received()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                kinds = {
                    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
                    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
                }
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path not in kinds or self.headers["content-type"] != "application/x-protobuf":
                    self.send_error(404)
                    return
                if self.path == "/v1/traces" and received.refuses():
                    self.send_error(503)
                    return
                asked, answered = kinds[self.path]
                received.take(asked.FromString(body), {name.lower(): value for name, value in self.headers.items()})
                answer = answered().SerializeToString()
                try:
                    self.send_response(200)
                    self.send_header("content-type", "application/x-protobuf")
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except BrokenPipeError:
                    # whoever was left hanging has gone
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = Server((HOST, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        if certificates is not None:
            self.scheme = "https"
            self.server.socket = certificates.context().wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.received.release()
        self.server.shutdown()
        self.server.server_close()
