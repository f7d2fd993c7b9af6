"""A server that does nothing, in Python: it reads the request and gives the answer it was started with.

    echo.py PORT FOLDER-WITH-ANSWERS
"""

import concurrent.futures
import pathlib
import sys

import grpc
from bankcard.v1 import bank_card_service_pb2_grpc as service
from bankcard.v1 import card_info_pb2 as info
from bankcard.v1 import verification_pb2 as verification


class Echo(service.BankCardServiceServicer):
    """Knows two answers."""

    def __init__(self, folder):
        self.verification = verification.VerifyBankCardResponse.FromString((folder / "verify.answer").read_bytes())
        self.card_info = info.QueryCardInfoResponse.FromString((folder / "card-info.answer").read_bytes())

    def VerifyBankCard(self, _request, _context):
        return self.verification

    def QueryCardInfo(self, _request, _context):
        return self.card_info


server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=1))
service.add_BankCardServiceServicer_to_server(Echo(pathlib.Path(sys.argv[2])), server)
if server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}") == 0:
    sys.exit("the port is taken")
server.start()
server.wait_for_termination()
