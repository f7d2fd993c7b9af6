"""The network that the pods share, and the Redis that is reached over it.

A bridge in a network namespace of its own, apart from the machine's: no pod reaches anything else.
What a container network plugin does for a pod is `attach`, whose commands launch.py runs inside the pod.
"""

import subprocess
import sys

from control_plane import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from own_redis import Redis  # noqa: E402  (the folder must be known first)

GATEWAY = "10.244.255.1"
PREFIX = 16
REDIS_PORT = 6379
BRIDGE = (f"ip link set lo up && ip link add pods type bridge && ip address add {GATEWAY}/{PREFIX} dev pods"
          " && ip link set pods up && echo up && exec sleep infinity")


def attach(address, switch):
    """The commands, run within a pod's own network, that join it to the network of process `switch`."""
    port = "pod" + "-".join(address.split(".")[2:])
    return (["ip", "link", "set", "lo", "up"],
            ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", str(switch)],
            ["ip", "address", "add", f"{address}/{PREFIX}", "dev", "eth0"],
            ["ip", "link", "set", "eth0", "up"],
            ["nsenter", f"--net=/proc/{switch}/ns/net", "ip", "link", "set", port, "master", "pods", "up"])


class Network:
    """The bridge, for as long as this program lives, and the Redis on it."""

    def __init__(self, folder, redis_server):
        self.process = subprocess.Popen(["unshare", "--net", "sh", "-c", BRIDGE], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if (said := self.process.stdout.readline()) != "up\n":
            raise RuntimeError(f"the pods' network did not come up: {said}")
        folder.mkdir()
        try:
            self.redis = Redis(folder, redis_server, REDIS_PORT, GATEWAY, ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"])
        except BaseException:
            self.stop_bridge()
            raise

    def stop_bridge(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.redis.stop()
        self.stop_bridge()
