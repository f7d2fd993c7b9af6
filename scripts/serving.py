"""Is a cardproof serving? Shared by the programs here that start one and wait for it.

An open port alone proves nothing: the admin port has to answer `GET /readyz` with 200, and the
gRPC port has to greet a new HTTP/2 connection with its SETTINGS frame.
"""

import http.client
import pathlib
import random
import socket

HOST = "127.0.0.1"
# the client's preface of HTTP/2, and an empty SETTINGS frame (length 0, type 4, no flags, stream 0)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
FRAME_HEAD_BYTES = 9
SETTINGS = 4
PATIENCE_S = 1
OUTGOING = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_FIRST_OUTGOING = 32768
LOWEST = 12000
TRIES = 100


def is_ready(admin_port):
    """Does the admin port say that the service is ready?"""
    connection = http.client.HTTPConnection(HOST, admin_port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def speaks_http2(grpc_port):
    """Does the gRPC port answer the client's preface with a SETTINGS frame?"""
    try:
        with socket.create_connection((HOST, grpc_port), timeout=PATIENCE_S) as connection:
            connection.sendall(PREFACE)
            head = b""
            while len(head) < FRAME_HEAD_BYTES:
                more = connection.recv(FRAME_HEAD_BYTES - len(head))
                if not more:
                    return False
                head += more
            return head[3] == SETTINGS
    except OSError:
        return False


def is_serving(grpc_port, admin_port):
    """Do both ports serve?"""
    return is_ready(admin_port) and speaks_http2(grpc_port)


def is_free(port):
    """Could somebody listen on this port of loopback now?"""
    with socket.socket() as probe:
        # as a server does: connections that are only fading away do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count):
    """Ports of loopback that nobody listens on at this moment, each a different one.

    They lie below those that the kernel gives to outgoing connections: one of these could otherwise
    sit on the port when its server comes to listen.
    """
    try:
        above = int(OUTGOING.read_text(encoding="utf-8").split()[0])
    except OSError:
        above = USUAL_FIRST_OUTGOING
    ports = [port for port in random.sample(range(LOWEST, above), TRIES) if is_free(port)][:count]
    if len(ports) < count:
        raise OSError(f"of {TRIES} ports from {LOWEST} to {above} not {count} are free")
    return ports
