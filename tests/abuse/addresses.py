#!/usr/bin/env python3
"""What docs/CLIENTS.md says of a list of addresses, by gRPC's own client for Python, without TLS and with it.

The client makes one name of the whole list. Only `grpc.default_authority` gives it one that is a host's.
"""

import argparse
import pathlib
import sys

import grpc

from caller import VERIFY, question
from house import HOST, House

NAME = "localhost"
TIMEOUT_S = 10


def ask(houses, names):
    """How a call to the list of these services ends; `names` are the channel's arguments."""
    target = "ipv4:" + ",".join(f"{HOST}:{house.port}" for house in houses)
    if houses[0].certificate:
        # each has signed its own
        roots = b"".join(pathlib.Path(house.certificate).read_bytes() for house in houses)
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options=names)
    else:
        channel = grpc.insecure_channel(target, options=names)
    with channel:
        try:
            channel.unary_unary(VERIFY, request_serializer=bytes, response_deserializer=bytes)(question()[5:], timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return "answered"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/cardproof")
    arguments = parser.parse_args()
    wrong = 0
    for tls, code, words in (False, "INTERNAL", "Stream removed"), (True, "UNAVAILABLE", "Hostname Verification Check failed"):
        houses = []
        try:
            for _ in range(2):
                houses.append(House(arguments.binary, tls=tls))
            named, unnamed = ask(houses, [("grpc.default_authority", NAME)]), ask(houses, [])
        finally:
            for house in houses:
                house.kill()
        good = named == "answered" and unnamed.startswith(f"{code}: ") and words in unnamed
        wrong += not good
        print(f"addresses: {'with' if tls else 'without'} TLS: {'ok' if good else f'FAILED: named {named}; unnamed {unnamed}'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
