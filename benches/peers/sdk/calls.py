"""Verifications with four factors through the vendor's own SDK, one after the other.

    calls.py HOST:PORT FIRST COUNT    prints one JSON object
"""

import json
import resource
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.faceid.v20180301 import faceid_client, models

host, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# connections are kept, as the service keeps them
http = HttpProfile(endpoint=host, protocol="http", keepAlive=True)
keys = credential.Credential("AKIDEMULATOR", "emulator-tencent-secret")
client = faceid_client.FaceidClient(keys, "", ClientProfile(httpProfile=http))


def call(place):
    """One verification; how long it took."""
    request = models.BankCard4EVerificationRequest()
    request.Name, request.BankCard = "张三", f"6228{place:09}000"
    request.Phone, request.IdCard = "13800138000", "11010519491231002X"
    begun = time.perf_counter()
    answer = client.BankCard4EVerification(request)
    if answer.Result != "0":
        sys.exit(f"not a match: {answer.Result}")
    return time.perf_counter() - begun


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


for place in range(first, first + count // 10):
    call(place)
first += count // 10
cpu, begun = cpu_seconds(), time.perf_counter()
latencies = sorted(call(place) for place in range(first, first + count))
print(json.dumps({
    "per_second": count / (time.perf_counter() - begun),
    "cpu_us": (cpu_seconds() - cpu) / count * 1e6,
    "p50_us": latencies[count // 2] * 1e6,
}))
