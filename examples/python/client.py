"""Calls cardproof: two verifications, one card, and two errors with their details."""

import pathlib
import secrets
import sys
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, "generated")
from bankcard.v1 import bank_card_service_pb2_grpc as service  # noqa: E402
from bankcard.v1 import card_info_pb2 as info  # noqa: E402
from bankcard.v1 import common_pb2 as common  # noqa: E402
from bankcard.v1 import result_code_pb2 as codes  # noqa: E402
from bankcard.v1 import verification_pb2 as verification  # noqa: E402

SERVICE_CONFIG = pathlib.Path("../service-config.json").read_text(encoding="utf-8")
DEADLINE_S = 5
TRACE_ID = secrets.token_hex(16)


def call_options():
    """A deadline, and a span of its own below this program's trace (W3C trace context)."""
    return {"timeout": DEADLINE_S, "metadata": [("traceparent", f"00-{TRACE_ID}-{secrets.token_hex(8)}-01")]}


def verify(stub, label, card, **factors):
    # one id for one question: a retry of the channel sends the same message, so the same id
    request = verification.VerifyBankCardRequest(bank_card=card, request_id=str(uuid.uuid4()), **factors)
    try:
        answer = stub.VerifyBankCard(request, **call_options())
    except grpc.RpcError as error:
        print_error(label, error)
        return
    print(
        f"{label}: {common.Verdict.Name(answer.verdict)}, {codes.ResultCode.Name(answer.result)}, "
        f"{common.Factors.Name(answer.factors)}, {common.Charge.Name(answer.charge)}"
    )


def query(stub, label, card):
    request = info.QueryCardInfoRequest(bank_card=card, request_id=str(uuid.uuid4()))
    try:
        answer = stub.QueryCardInfo(request, **call_options())
    except grpc.RpcError as error:
        print_error(label, error)
        return
    print(
        f"{label}: {info.CardInfoResult.Name(answer.result)}, {answer.bank_name} ({answer.bank_code}), "
        f"{info.CardType.Name(answer.card_type)}, {info.CardNetwork.Name(answer.network)}"
    )


def print_error(label, error):
    print(f"{label}: {error.code().name}")
    status = rpc_status.from_call(error)
    details = status.details if status else []
    reason, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in details:
        if detail.Unpack(reason):
            print(f"  reason {reason.reason} of {reason.domain}")
            for name, value in sorted(reason.metadata.items()):
                print(f"  {name}: {value}")
    for detail in details:
        if detail.Unpack(request):
            for violation in request.field_violations:
                print(f"  field {violation.field}: {violation.reason}, {violation.description}")
        elif detail.Unpack(retry):
            print(f"  again after {retry.retry_delay.ToMilliseconds()} ms")


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
    options = [("grpc.service_config", SERVICE_CONFIG)]
    with grpc.insecure_channel(f"dns:///{target}", options=options) as channel:
        stub = service.BankCardServiceStub(channel)
        person = {"name": "张三", "id_number": "11010519491231002X", "phone": "13800138000"}
        verify(stub, "match", "6200000100000012", **person)
        verify(stub, "mismatch", "6200000100000020", name="张三")
        query(stub, "card", "622202")
        verify(stub, "bad request", "1234", name="J0hn", phone="555-1234")
        verify(stub, "no vendor", "6200000400000027", name="张三")


if __name__ == "__main__":
    main()
