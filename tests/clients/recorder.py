"""A server that fails on purpose and writes down how it was called.

    recorder.py FOLDER-OF-STUBS REFUSALS

The first call is UNAVAILABLE as often as REFUSALS says and then answered; the second is always
UNKNOWN, which nobody may try again; all others are answered at once. (Refusing more than one would
wake the clients' retry throttling, which then holds back what is to be seen here.) Prints the port it listens on, then one line of JSON for each attempt. It ends on SIGTERM.
"""

import json
import signal
import sys
from concurrent import futures

import grpc

sys.path.insert(0, sys.argv[1])
from bankcard.v1 import bank_card_service_pb2_grpc as service  # noqa: E402
from bankcard.v1 import card_info_pb2, verification_pb2  # noqa: E402


class Recorder(service.BankCardServiceServicer):
    """Answers with empty messages."""

    def __init__(self, refusals):
        self.refusals, self.attempts = refusals, {}

    def record(self, method, request, context):
        metadata = dict(context.invocation_metadata())
        remaining = context.time_remaining()
        record = {
            "method": method,
            "request_id": request.request_id,
            "traceparent": metadata.get("traceparent", ""),
            "previous_attempts": int(metadata.get("grpc-previous-rpc-attempts", "0")),
            # grpc rounds a deadline up by less than this
            "remaining_s": None if remaining is None else round(remaining, 1),
        }
        print(json.dumps(record), flush=True)
        attempt = self.attempts[request.request_id] = self.attempts.get(request.request_id, 0) + 1
        place = list(self.attempts).index(request.request_id)
        if place == 0 and attempt <= self.refusals:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if place == 1:
            context.abort(grpc.StatusCode.UNKNOWN, "nobody knows")

    def VerifyBankCard(self, request, context):
        self.record("VerifyBankCard", request, context)
        return verification_pb2.VerifyBankCardResponse()

    def QueryCardInfo(self, request, context):
        self.record("QueryCardInfo", request, context)
        return card_info_pb2.QueryCardInfoResponse()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
service.add_BankCardServiceServicer_to_server(Recorder(int(sys.argv[2])), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
print(port, flush=True)
server.wait_for_termination()
