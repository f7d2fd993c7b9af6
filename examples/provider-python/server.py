"""A provider for cardproof in Python: answers from a list in memory instead of asking a vendor."""

import sys
from concurrent import futures

import grpc

sys.path.insert(0, "generated")
from bankcard.provider.v1 import provider_service_pb2 as provider  # noqa: E402
from bankcard.provider.v1 import provider_service_pb2_grpc as service  # noqa: E402
from bankcard.v1 import card_info_pb2 as info  # noqa: E402
from bankcard.v1 import common_pb2 as common  # noqa: E402
from bankcard.v1 import result_code_pb2 as codes  # noqa: E402

# card number: name, number of the resident identity card, phone
HOLDERS = {
    "6200000500000018": ("张三", "11010519491231002X", "13800138000"),
    "6200000500000026": ("WEI XIAOBAO", "440524188001010014", "13900139000"),
}


class Provider(service.ProviderServiceServicer):
    def DescribeProvider(self, request, context):
        counts = [common.FACTORS_TWO, common.FACTORS_THREE, common.FACTORS_FOUR]
        return provider.DescribeProviderResponse(factors=counts, card_info=True)

    def VerifyBankCard(self, request, context):
        holder = HOLDERS.get(request.bank_card)
        given = (request.name.upper(), request.id_number, request.phone)
        if holder is None:
            result = codes.RESULT_CODE_UNVERIFIABLE
        elif all(not value or value == known for value, known in zip(given, holder)):
            result = codes.RESULT_CODE_MATCH
        else:
            result = codes.RESULT_CODE_MISMATCH
        answer = provider.Verification(result=result, charge=common.CHARGE_NOT_CHARGED)
        return provider.VerifyBankCardResponse(answer=answer)

    def QueryCardInfo(self, request, context):
        answer = provider.CardInformation(charge=common.CHARGE_NOT_CHARGED)
        if request.bank_card in HOLDERS:
            answer.result, answer.card_type = info.CARD_INFO_RESULT_FOUND, info.CARD_TYPE_DEBIT
            answer.bank_name = answer.bank_name_en = "Example Bank"
        else:
            answer.result = info.CARD_INFO_RESULT_NO_INFORMATION
        return provider.QueryCardInfoResponse(answer=answer)


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    service.add_ProviderServiceServicer_to_server(Provider(), server)
    port = server.add_insecure_port(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50061")
    server.start()
    print(f"listening on port {port}", flush=True)
    server.wait_for_termination()
