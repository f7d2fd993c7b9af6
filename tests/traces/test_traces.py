"""Spans and metrics as a collector sees them that shares no code with the service."""

import os
import pathlib
import re
import socket
import threading
import unittest
from concurrent import futures

import grpc

import scene
from certificates import Certificates
from receiver import GrpcReceiver, HttpReceiver
from render import attributes, render
from scene import CARD, SANDBOX_CARD, SANDBOX_SLOW, BusyVendor, Emulator, Service, question, two_vendors

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "TRACING.md"
SHOWN = re.compile(r"(<!-- trace -->\n```text\n)(.*?)(```\n)", re.S)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"

# what the two vendors are asked, by their own documentation: three factors
ACE_CALL, TENCENT_CALL = "POST /identity/bankcard/check-3e", "POST /"

# spans leave soon after they have ended
HASTY = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "300"}


def to(receiver, **others):
    return HASTY | {
        "OTEL_EXPORTER_OTLP_PROTOCOL": receiver.protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{receiver.scheme}://127.0.0.1:{receiver.port}",
    } | others


def by_name(spans):
    names = [span.name for span, *_ in spans]
    return {name: [span for span, *_ in spans if span.name == name] for name in names}


class Case(unittest.TestCase):
    def open(self, thing):
        self.addCleanup(thing.close)
        return thing

    def wait_for_spans(self, receiver, count):
        receiver.received.wait_until(lambda: len(receiver.received.spans()) >= count)
        return receiver.received.spans()

    def assert_nothing_personal(self, text):
        for value in scene.PERSONAL:
            self.assertNotIn(value, text)
        for part in ("emulator-ace-token", "AKIDEMULATOR", "emulator-tencent-secret"):
            self.assertNotIn(part, text)


class FailedOver(Case):
    """One vendor has no room, the next one answers."""

    def setUp(self):
        self.busy, self.emulator = self.open(BusyVendor()), self.open(Emulator())

    def ask(self, receiver):
        headers = "x-tenant=one,authorization=Bearer%20abc"
        resource = "deployment.environment.name=test,service.name=ignored"
        variables = to(receiver, OTEL_EXPORTER_OTLP_HEADERS=headers, OTEL_SERVICE_NAME="bank-cards", OTEL_RESOURCE_ATTRIBUTES=resource)
        service = self.open(Service(two_vendors(self.busy.url, self.emulator.url), variables))
        reply = service.verify(question(), SAMPLED, [("tracestate", "vendor=abc")])
        self.assertEqual(reply["verdict"], "VERDICT_MATCH", reply)
        return service, self.wait_for_spans(receiver, 7)

    def check_tree(self, spans):
        named = by_name(spans)
        self.assertEqual(
            sorted((name, len(found)) for name, found in named.items()),
            [
                (TENCENT_CALL, 1),
                (ACE_CALL, 1),
                ("attempt", 2),
                ("bankcard.v1.BankCardService/VerifyBankCard", 1),
                ("flight", 1),
                ("route", 1),
            ],
        )
        server = named["bankcard.v1.BankCardService/VerifyBankCard"][0]
        flight, route = named["flight"][0], named["route"][0]
        first, second = sorted(named["attempt"], key=lambda it: it.start_time_unix_nano)
        ace, tencent = named[ACE_CALL][0], named[TENCENT_CALL][0]
        parents = [(server, SPAN)] + [
            (child, parent.span_id.hex())
            for child, parent in [(flight, server), (route, flight), (first, route), (second, route), (ace, first), (tencent, second)]
        ]
        for span, parent in parents:
            self.assertEqual(span.trace_id.hex(), TRACE)
            self.assertEqual(span.parent_span_id.hex(), parent, span.name)
            self.assertEqual(span.trace_state, "vendor=abc")
            self.assertLessEqual(span.start_time_unix_nano, span.end_time_unix_nano)
        self.assertEqual([span.kind for span in (server, flight, first, ace, tencent)], [2, 1, 1, 3, 3])
        self.check_attributes(server, first, second, ace, tencent)

    def check_attributes(self, server, first, second, ace, tencent):
        said = attributes(server)
        self.assertEqual(said["rpc.system.name"], "grpc")
        self.assertEqual(said["rpc.method"], "bankcard.v1.BankCardService/VerifyBankCard")
        self.assertEqual(said["rpc.response.status_code"], "OK")
        self.assertEqual(said["cardproof.result"], "MATCH")
        self.assertEqual(said["cardproof.provider"], "tencent")
        self.assertEqual(server.status.code, 0)
        said = attributes(first)
        self.assertEqual((said["cardproof.provider"], said["cardproof.outcome"]), ("ace", "THROTTLED"))
        self.assertEqual((said["cardproof.attempt"], said["error.type"]), (1, "THROTTLED"))
        self.assertEqual(first.status.code, 2)
        said = attributes(second)
        self.assertEqual((said["cardproof.provider"], said["cardproof.outcome"]), ("tencent", "ANSWERED"))
        self.assertEqual((said["cardproof.attempt"], said["cardproof.charge"]), (2, "CHARGED"))
        for span, status in ((ace, 429), (tencent, 200)):
            said = attributes(span)
            self.assertEqual(said["http.request.method"], "POST")
            self.assertEqual(said["http.response.status_code"], status)
            self.assertEqual(said["server.address"], "127.0.0.1")
            self.assertIn(said["server.port"], self.ports())
            self.assertEqual(span.name, f"POST {said['url.template']}")
            self.assertNotIn("url.full", said)
        self.assertEqual((ace.status.code, tencent.status.code), (2, 0))

    def ports(self):
        return [int(url.rsplit(":", 1)[1]) for url in (self.busy.url, self.emulator.url)]

    def check_sender(self, receiver, spans):
        for _, resource, scope in spans:
            said = attributes(resource)
            self.assertEqual(said["service.name"], "bank-cards")
            self.assertEqual(said["deployment.environment.name"], "test")
            self.assertTrue(said["service.instance.id"] and said["service.version"])
            self.assertEqual((scope.name, scope.version), ("cardproof", said["service.version"]))
        for headers in receiver.received.headers:
            self.assertEqual((headers["x-tenant"], headers["authorization"]), ("one", "Bearer abc"))

    def check_log(self, service, spans):
        ids = {span.span_id.hex() for span, *_ in spans}
        answered = [line for line in service.log() if line.get("message") == "answered"]
        self.assertEqual(len(answered), 1)
        for line in [*answered, *(line for line in service.log() if line["target"] == "ledger")]:
            self.assertEqual(line["trace_id"], TRACE)
            self.assertIn(line["span_id"], ids)

    def test_over_grpc(self):
        receiver = self.open(GrpcReceiver())
        service, spans = self.ask(receiver)
        self.check_tree(spans)
        self.check_sender(receiver, spans)
        self.check_log(service, spans)
        self.assert_nothing_personal("".join(str(request) for request in receiver.received.traces))
        self.assertEqual(service.metric('cardproof_otel_dropped_total{signal="traces"}'), 0)
        self.assertEqual(service.metric("cardproof_redaction_hits_total"), 0)
        self.check_page(render([span for span, *_ in spans]))

    def check_page(self, text):
        """The documentation shows this very trace."""
        page = PAGE.read_text(encoding="utf-8")
        self.assertEqual(len(SHOWN.findall(page)), 1, "one marked block in docs/TRACING.md")
        if os.environ.get("CARDPROOF_WRITE_DOCS") == "1":
            PAGE.write_text(SHOWN.sub(lambda found: found[1] + text + found[3], page), encoding="utf-8")
            return
        shown = SHOWN.search(page)[2]
        self.assertEqual(shown, text, "docs/TRACING.md differs; CARDPROOF_WRITE_DOCS=1 make test SUITE=traces writes it")

    def test_over_http(self):
        receiver = self.open(HttpReceiver())
        _, spans = self.ask(receiver)
        self.check_tree(spans)
        self.check_sender(receiver, spans)
        self.assert_nothing_personal("".join(str(request) for request in receiver.received.traces))

    def test_vendors_are_not_told_of_the_trace(self):
        receiver = self.open(GrpcReceiver())
        self.ask(receiver)
        self.assertEqual(len(self.busy.headers), 1)
        for name in ("traceparent", "tracestate", "baggage"):
            self.assertNotIn(name, self.busy.headers[0])


class Shared(Case):
    def test_a_follower_points_to_the_leader(self):
        receiver = self.open(GrpcReceiver())
        service = self.open(Service(variables=to(receiver)))
        others = f"00-{'ab' * 16}-{'cd' * 8}-01"
        asked = {"bankCard": SANDBOX_SLOW, "name": scene.NAME}
        with futures.ThreadPoolExecutor() as pool:
            first = pool.submit(service.verify, asked, SAMPLED)
            second = pool.submit(service.verify, asked, others)
            for reply in (first.result(), second.result()):
                self.assertEqual(reply["verdict"], "VERDICT_MATCH", reply)
        self.assertEqual(service.metric('cardproof_flight_followers_total{scope="local"}'), 1)
        # two calls; the leader's flight, route and attempt; the follower's flight
        spans = self.wait_for_spans(receiver, 6)
        flights = {attributes(span)["cardproof.flight.role"]: span for span in by_name(spans)["flight"]}
        leader, follower = flights["leader"], flights["follower"]
        self.assertEqual(len(follower.links), 1)
        self.assertEqual(follower.links[0].trace_id, leader.trace_id)
        self.assertEqual(follower.links[0].span_id, leader.span_id)
        self.assertNotEqual(follower.trace_id, leader.trace_id)
        self.assertEqual(len(leader.links), 0)
        self.assertEqual(len(spans), 6)

    def test_a_provider_over_grpc_is_told_of_the_trace(self):
        told = []

        def verify(_, context):
            told.append(dict(context.invocation_metadata()))
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "")

        handlers = {"VerifyBankCard": grpc.unary_unary_rpc_method_handler(verify)}
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("bankcard.provider.v1.ProviderService", handlers)]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(grace=None).wait())
        receiver = self.open(GrpcReceiver())
        settings = (
            '[routes]\nverify = ["mine"]\ncard_info = ["bin"]\nretries_per_second = 1\n[providers.bin]\nkind = "bin"\n'
            f'[providers.mine]\nkind = "grpc"\nendpoint = "http://127.0.0.1:{port}"\n'
        )
        service = self.open(Service(settings, to(receiver)))
        service.verify(question(), SAMPLED, [("tracestate", "vendor=abc")])
        method = "bankcard.provider.v1.ProviderService/VerifyBankCard"
        # all of the call: what came after the traces are cleared below would be taken for the other service's
        receiver.received.wait_until(lambda: {method, scene.METHOD} <= set(by_name(receiver.received.spans())))
        clients = by_name(receiver.received.spans())[method]
        self.assertEqual(told[0]["traceparent"], f"00-{TRACE}-{clients[0].span_id.hex()}-01")
        self.assertEqual(told[0]["tracestate"], "vendor=abc")
        self.assertEqual(attributes(clients[0])["rpc.system.name"], "grpc")
        told.clear()
        service.verify(question("6222020000000000018"), NOT_SAMPLED)
        self.assertEqual(told[0]["traceparent"], NOT_SAMPLED)
        # where trace context is left out, a trace of its own begins here and ends here
        told.clear()
        receiver.received.traces.clear()
        alone = self.open(Service(settings, to(receiver, OTEL_PROPAGATORS="none")))
        alone.verify(question(), SAMPLED, [("tracestate", "vendor=abc")])
        receiver.received.wait_until(lambda: scene.METHOD in by_name(receiver.received.spans()))
        call = by_name(receiver.received.spans())[scene.METHOD][0]
        self.assertNotEqual(call.trace_id.hex(), TRACE)
        self.assertEqual(call.parent_span_id, b"")
        self.assertGreater(len(told), 0)
        for metadata in told:
            self.assertEqual({"traceparent", "tracestate"} & set(metadata), set())
        self.assertNotIn(TRACE, alone.log_text())


class Chosen(Case):
    """Who is recorded, and what is sent."""

    def test_a_parent_that_is_not_sampled_is_respected(self):
        receiver = self.open(GrpcReceiver())
        service = self.open(Service(variables=to(receiver)))
        asked = {"bankCard": SANDBOX_CARD, "name": scene.NAME}
        for _ in range(3):
            self.assertEqual(service.verify(asked, NOT_SAMPLED)["verdict"], "VERDICT_MATCH")
        # the log still tells which trace it was, and no span of ours
        answered = [line for line in service.log() if line.get("message") == "answered"]
        self.assertEqual([line.get("trace_id") for line in answered], [TRACE] * 3)
        self.assertEqual([line.get("span_id") for line in answered], [None] * 3)
        # one that nobody has decided on comes after, and is the first to arrive
        service.verify(asked)
        spans = self.wait_for_spans(receiver, 1)
        self.assertEqual([span.name for span, *_ in spans], [scene.METHOD])
        self.assertNotEqual(spans[0][0].trace_id.hex(), TRACE)
        self.assertEqual(spans[0][0].parent_span_id, b"")

    def test_samplers(self):
        asked = {"bankCard": SANDBOX_CARD, "name": scene.NAME}
        for sampler, traceparent, recorded in (
            ("always_off", SAMPLED, False),
            ("always_on", NOT_SAMPLED, True),
            ("parentbased_always_off", None, False),
            ("parentbased_always_off", SAMPLED, True),
        ):
            with self.subTest(sampler=sampler, traceparent=traceparent):
                receiver = self.open(GrpcReceiver())
                service = self.open(Service(variables=to(receiver, OTEL_TRACES_SAMPLER=sampler)))
                service.verify(asked, traceparent)
                # what is recorded leaves at the end at the latest
                code, _ = service.close()
                self.assertEqual(code, 0)
                self.assertEqual(len(receiver.received.spans()) > 0, recorded)

    def test_nothing_is_sent_unless_it_is_said(self):
        receiver = self.open(HttpReceiver())
        for variables in (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            to(receiver, OTEL_SDK_DISABLED="true"),
            to(receiver, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="prometheus"),
        ):
            service = self.open(Service(variables=HASTY | variables))
            service.verify({"bankCard": SANDBOX_CARD, "name": scene.NAME}, SAMPLED)
            self.assertEqual(service.close()[0], 0)
            self.assertEqual((receiver.received.traces, receiver.received.metrics), ([], []))
        service = self.open(Service(variables=to(receiver, OTEL_TRACES_EXPORTER="none")))
        service.verify({"bankCard": SANDBOX_CARD, "name": scene.NAME}, SAMPLED)
        self.assertEqual(service.close()[0], 0)
        self.assertEqual(receiver.received.traces, [])
        self.assertTrue(receiver.received.metrics)


class Guarded(Case):
    """A collector with a certificate of its own, which asks for one."""

    def setUp(self):
        self.certificates = self.open(Certificates())
        self.trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": self.certificates.file("ca.crt")}
        self.shown = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": self.certificates.file("client.crt"),
                      "OTEL_EXPORTER_OTLP_CLIENT_KEY": self.certificates.file("client.key")}

    def receivers(self):
        for receiver in (self.open(GrpcReceiver(self.certificates)), self.open(HttpReceiver(self.certificates))):
            with self.subTest(protocol=receiver.protocol):
                yield receiver

    def serve(self, variables):
        service = self.open(Service(variables=variables))
        self.assertEqual(service.verify({"bankCard": SANDBOX_CARD, "name": scene.NAME}, SAMPLED)["verdict"], "VERDICT_MATCH")
        return service

    def test_both_sides_show_who_they_are(self):
        for receiver in self.receivers():
            service = self.serve(to(receiver, **self.trusted, **self.shown))
            self.wait_for_spans(receiver, 1)
            receiver.received.wait_until(lambda one=receiver: one.received.metrics)
            self.assertEqual(service.close()[0], 0)

    def test_a_collector_that_is_not_trusted_is_told_nothing(self):
        """Nor is one that does not know this program."""
        for receiver in self.receivers():
            for known in (self.shown, self.trusted):
                service = self.serve(to(receiver, **known))
                # all tries of an export take well under a second
                for _ in range(300):
                    if service.metric('cardproof_otel_dropped_total{signal="traces"}') >= 1:
                        break
                    threading.Event().wait(0.1)
                else:
                    self.fail("nothing was dropped")
                self.assertEqual((receiver.received.traces, receiver.received.metrics), ([], []))
                self.assertEqual(service.close()[0], 0)

    def test_files_of_no_use_are_told_by_the_name_of_their_variable(self):
        key, chain = self.certificates.file("client.key"), self.certificates.file("client.crt")
        for receiver in self.receivers():
            for name, path in (("CERTIFICATE", "/nowhere.pem"), ("CERTIFICATE", key), ("CLIENT_KEY", chain), ("CLIENT_CERTIFICATE", key)):
                wrong = {f"OTEL_EXPORTER_OTLP_{name}": path}
                service = self.serve(to(receiver) | self.trusted | self.shown | wrong)
                told = [line["message"] for line in service.log() if f"OTEL_EXPORTER_OTLP_{name} " in line.get("message", "")]
                self.assertEqual(len(told), 2, "once for each signal")
                self.assertNotIn(path, service.log_text())
                self.assertEqual(service.close()[0], 0)
                self.assertEqual((receiver.received.traces, receiver.received.metrics), ([], []))

    def test_a_protocol_that_there_is_not(self):
        receiver = self.open(HttpReceiver())
        service = self.serve(to(receiver, OTEL_EXPORTER_OTLP_PROTOCOL="http/json"))
        told = [line["message"] for line in service.log() if "OTEL_EXPORTER_OTLP_PROTOCOL" in line.get("message", "")]
        self.assertEqual(told, ["OTEL_EXPORTER_OTLP_PROTOCOL cannot be used: it takes grpc or http/protobuf; what it is for is not sent"])
        self.assertEqual(service.close()[0], 0)
        self.assertEqual((receiver.received.traces, receiver.received.metrics), ([], []))


class Metrics(Case):
    def test_what_is_at_the_admin_port_goes_over_otlp_too(self):
        receiver = self.open(GrpcReceiver())
        service = self.open(Service(variables=to(receiver)))
        service.verify({"bankCard": SANDBOX_CARD, "name": scene.NAME})

        def last():
            found = {}
            for request in list(receiver.received.metrics)[-1:]:
                for resource in request.resource_metrics:
                    for scope in resource.scope_metrics:
                        found |= {metric.name: metric for metric in scope.metrics}
            return found

        receiver.received.wait_until(lambda: "rpc.server.call.duration" in last())
        sent = last()
        calls = sent["rpc.server.call.duration"].histogram.data_points
        self.assertEqual(
            [(point.count, {it.key: it.value.string_value for it in point.attributes}) for point in calls],
            [(1, {"rpc.method": scene.METHOD, "rpc.response.status_code": "OK"})],
        )
        # every name at the admin port, in the collector's spelling
        page = (PAGE.parent / "METRICS.md").read_text(encoding="utf-8")
        spelled = dict(re.findall(r"^## `(\w+)`\n\n[^`]*\(`([\w.]+)`\)", page, re.M))
        shown = {name for name in spelled if f"# TYPE {name} " in service.page("/metrics")}
        self.assertGreater(len(shown), 15)
        self.assertEqual({spelled[name] for name in shown}, set(sent))
        self.assert_nothing_personal(str(receiver.received.metrics))


class NobodyListens(Case):
    """A collector that is not there, or never answers, holds nobody up."""

    def ask_many(self, service, count):
        for at in range(count):
            asked = {"bankCard": SANDBOX_CARD, "name": scene.NAME, "cache": {"mode": "CACHE_MODE_BYPASS"}}
            reply = service.verify(asked, f"00-{at + 1:032x}-{SPAN}-01", deadline_s=5)
            self.assertEqual(reply["verdict"], "VERDICT_MATCH", reply)

    def wait_for_drops(self, service, signal, least):
        series = f'cardproof_otel_dropped_total{{signal="{signal}"}}'
        for _ in range(300):
            if service.metric(series) >= least:
                return
            threading.Event().wait(0.1)
        self.fail(f"{series} stays below {least}")

    def test_a_dead_one(self):
        for protocol in ("grpc", "http/protobuf"):
            with self.subTest(protocol=protocol), socket.socket() as nobody:
                # bound and not listening: connections are refused
                nobody.bind(("127.0.0.1", 0))
                port = nobody.getsockname()[1]
                variables = HASTY | {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
                service = self.open(Service(variables=variables))
                self.ask_many(service, 5)
                # a bypass makes a call, flight, route and attempt
                self.wait_for_drops(service, "traces", 20)
                self.wait_for_drops(service, "metrics", 1)
                told = [line for line in service.log() if line.get("signal") == "traces"]
                self.assertEqual(len(told), 1, "told once")
                code, seconds = service.close()
                self.assertEqual(code, 0)
                self.assertLess(seconds, 15)

    def test_one_that_has_no_room_is_asked_again(self):
        for receiver in (self.open(GrpcReceiver()), self.open(HttpReceiver())):
            with self.subTest(protocol=receiver.protocol):
                receiver.received.refuse(3)
                service = self.open(Service(variables=to(receiver)))
                service.verify({"bankCard": SANDBOX_CARD, "name": scene.NAME}, SAMPLED)
                self.assertGreaterEqual(len(self.wait_for_spans(receiver, 1)), 1)
                self.assertEqual(receiver.received.refusals, 0)
                self.assertEqual(service.metric('cardproof_otel_dropped_total{signal="traces"}'), 0)
                self.assertEqual(service.close()[0], 0)

    def test_one_that_never_answers(self):
        for receiver in (self.open(GrpcReceiver()), self.open(HttpReceiver())):
            with self.subTest(protocol=receiver.protocol):
                receiver.received.hang()
                variables = to(receiver, OTEL_BSP_MAX_QUEUE_SIZE="8", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4", OTEL_EXPORTER_OTLP_TIMEOUT="60000")
                service = self.open(Service(variables=variables))
                self.ask_many(service, 10)
                # 40 spans; one batch is out, as many as there is room for wait
                self.wait_for_drops(service, "traces", 40 - 8 - 4)
                code, seconds = service.close()
                self.assertEqual(code, 0)
                self.assertLess(seconds, 15)


if __name__ == "__main__":
    unittest.main()
