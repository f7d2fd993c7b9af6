"""Plays the node: binds pods, runs their containers in sandboxes, probes them, tells the API server.

Every container is the real binary, with command, environment, user, groups, mounts, root and probes
exactly as the pod that was read back from the API says. What a pod asks for and this node does not
know is an error and not passed over. Needs root for the namespaces; the containers have no rights.
"""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import image
from control_plane import Refused
from network import attach

HERE = pathlib.Path(__file__).resolve().parent
NAME = "node"
POLL_S = 0.1
# how long a pod waits for a Secret or ConfigMap that it names, and for its probes; all long, for they only end a failure
OBJECT_LIMIT_S = 120
START_LIMIT_S = 120
READY_LIMIT_S = 60
CONNECT_LIMIT_S = 5
# what stands for the image's user where the pod names none does not exist: the chart always names one
KNOWN_VOLUMES = ("name", "configMap", "secret", "emptyDir")
# of a container; what is not here must be looked into before it is used
KNOWN_FIELDS = {"name", "image", "imagePullPolicy", "command", "args", "env", "envFrom", "ports", "startupProbe", "livenessProbe",
                "readinessProbe", "resources", "volumeMounts", "securityContext", "terminationMessagePath",
                "terminationMessagePolicy"}


class Container:
    """One container of a pod that runs or has run."""

    def __init__(self, node, pod, spec, folder, network=None):
        unknown = set(spec) - KNOWN_FIELDS
        if unknown:
            raise ValueError(f"the node does not know {unknown}")
        self.spec, self.address = spec, pod["status"].get("podIP")
        rights = {**pod["spec"].get("securityContext", {}), **spec.get("securityContext", {})}
        user, group = rights["runAsUser"], rights["runAsGroup"]
        if rights.get("runAsNonRoot") and user == 0:
            raise ValueError("runAsNonRoot, and the user is root")
        root = folder / "root"
        image.lay_out(root, node.binary)
        (root / "etc/hosts").write_text(node.hosts(pod), encoding="utf-8")
        mounts = []
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for entry in spec.get("volumeMounts", []):
            source = node.volume(pod, volumes[entry["name"]], folder / "volumes", rights.get("fsGroup"))
            (root / entry["mountPath"].lstrip("/")).mkdir(parents=True, exist_ok=True)
            mounts.append((str(source), entry["mountPath"], entry.get("readOnly", False) or "emptyDir" not in volumes[entry["name"]]))
        self.environment = {**image.ENVIRONMENT, **node.environment(pod, spec)}
        self.arguments = [*spec.get("command", image.ENTRYPOINT), *spec.get("args", image.COMMAND)]
        reads, writes = os.pipe()
        plan = folder / "plan.json"
        plan.write_text(json.dumps({
            "root": str(root), "mounts": mounts, "attach": [] if network else attach(self.address, node.switch), "report": writes,
            "read_only_root": rights.get("readOnlyRootFilesystem", False), "user": user, "group": group,
            "groups": [group, *([rights["fsGroup"]] if "fsGroup" in rights else [])],
            "drop_all": "ALL" in rights.get("capabilities", {}).get("drop", []),
            "may_gain_rights": rights.get("allowPrivilegeEscalation", True),
            "arguments": self.arguments, "environment": self.environment}), encoding="utf-8")
        enter = ["unshare", "--net", "--mount"] if network is None else ["nsenter", f"--net={network}", "unshare", "--mount"]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*enter, sys.executable, HERE / "launch.py", plan], pass_fds=[writes],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(writes)
        with os.fdopen(reads) as report:
            text = report.read()
        # empty where the launcher failed; its own words are in the log
        self.report = json.loads(text) if text else None

    def network(self):
        return f"/proc/{self.process.pid}/ns/net"

    def status(self, admin_port):
        """What the service says of itself on its admin port."""
        read = f"import urllib.request; print(urllib.request.urlopen('http://{self.address}:{admin_port}/status').read().decode())"
        done = subprocess.run(["nsenter", f"--net={self.network()}", sys.executable, "-c", read], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def rights(self):
        """What the kernel says of the running program."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return {name: value.split() for name, value in re.findall(r"^(\w+):\t(.*)$", text, re.M)}

    def probe(self, node, probe):
        """One gRPC probe, as a kubelet asks it: from outside, at the pod's address."""
        port, service = probe["grpc"]["port"], probe["grpc"].get("service", "")
        done = subprocess.run(["nsenter", f"--net={self.network()}", node.health_probe, f"-addr={self.address}:{port}",
                               f"-service={service}", f"-connect-timeout={CONNECT_LIMIT_S}s",
                               f"-rpc-timeout={probe.get('timeoutSeconds', 1) * 5}s"],
                              capture_output=True, check=False)
        return done.returncode == 0

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")


class Node:
    """All pods of the cluster that run here."""

    def __init__(self, plane, network, folder, binary, health_probe):
        self.api, self.networks, self.switch = plane.api, plane.networks, network.process.pid
        self.folder, self.binary, self.health_probe = pathlib.Path(folder), binary, health_probe
        self.containers, self.ended, self.errors, self.seen = {}, [], [], set()
        self.addresses = (f"10.244.0.{number}" for number in range(2, 250))
        self.threads, self.lock, self.stopping = [], threading.Lock(), threading.Event()
        self.api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}})
        self.api.patch(f"/api/v1/nodes/{NAME}/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": plane.kubelet_port}}}})
        self.loop = threading.Thread(target=self.watch, daemon=True)
        self.loop.start()

    def watch(self):
        while not self.stopping.is_set():
            try:
                for pod in self.api.items("/api/v1/pods"):
                    if pod["metadata"]["uid"] not in self.seen:
                        self.seen.add(pod["metadata"]["uid"])
                        thread = threading.Thread(target=self.life, args=(pod,), daemon=True)
                        self.threads.append(thread)
                        thread.start()
                self.balance_load()
            except (OSError, Refused) as error:
                if not self.stopping.is_set():
                    self.errors.append(("", f"watch: {error}"))
            self.stopping.wait(POLL_S)

    def balance_load(self):
        """What a cloud does for a Service of the type LoadBalancer: it gives it an address."""
        for service in self.api.items("/api/v1/services"):
            if service["spec"]["type"] == "LoadBalancer" and not service["status"]["loadBalancer"].get("ingress"):
                path = f"/api/v1/namespaces/{service['metadata']['namespace']}/services/{service['metadata']['name']}/status"
                self.api.patch(path, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}})

    def path(self, pod):
        return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

    def life(self, pod):
        """A pod from its binding to its removal."""
        running = []
        try:
            path = self.path(pod)
            self.api.create(path + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
                                                "target": {"apiVersion": "v1", "kind": "Node", "name": NAME}})
            with self.lock:
                address = next(self.addresses)
            pod = self.status(path, {"phase": "Pending", "podIP": address, "podIPs": [{"ip": address}]})
            if pod["spec"].get("initContainers"):
                raise ValueError("the node runs no init containers")
            once = pod["spec"]["restartPolicy"] == "Never"
            network = self.network_of_servers(pod) if once else None
            for spec in pod["spec"]["containers"]:
                folder = self.folder / pod["metadata"]["uid"] / spec["name"]
                folder.mkdir(parents=True)
                running.append(Container(self, pod, spec, folder, network))
            with self.lock:
                self.containers[pod["metadata"]["uid"]] = (pod, running)
            if once:
                self.run_once(path, pod, running)
            else:
                self.serve(path, pod, running)
        except Exception as error:  # pylint: disable=broad-except
            logs = "\n".join(container.text()[-1500:] for container in running)
            self.errors.append((pod["metadata"]["namespace"], f"{pod['metadata']['name']}: {type(error).__name__}: {error}\n{logs}"))
        finally:
            for container in running:
                if container.process.poll() is None:
                    container.process.kill()
                container.process.wait()

    def run_once(self, path, pod, running):
        """The pod of `helm test`: its containers end by themselves."""
        codes = [container.process.wait(pod["spec"].get("activeDeadlineSeconds", 60)) for container in running]
        with self.lock:
            self.ended.append((pod, running, codes))
        self.status(path, {"phase": "Failed" if any(codes) else "Succeeded"})
        self.wait_for_deletion(path, lambda: None)
        self.remove(path)

    def serve(self, path, pod, running):
        """A server's pod: startup, then ready, until it is to go; then the signal, and the time to finish."""
        for container in running:
            self.until(START_LIMIT_S, lambda one=container: one.process.poll() is not None or one.probe(self, one.spec["startupProbe"]))
        name = "{namespace}.{name}".format(**pod["metadata"])
        (self.networks / name).symlink_to(running[0].network())
        self.status(path, self.state(running))

        def look():
            if any(container.process.poll() is not None for container in running):
                raise RuntimeError("a container ended by itself")

        pod = self.wait_for_deletion(path, look)
        for container in running:
            container.process.send_signal(signal.SIGTERM)
        # not ready at once, while still alive
        limit = time.monotonic() + pod["metadata"]["deletionGracePeriodSeconds"]
        codes = [container.process.wait(max(0.1, limit - time.monotonic())) for container in running]
        with self.lock:
            self.ended.append((pod, running, codes))
        self.remove(path)

    def state(self, running):
        """Ready is what the probes say: liveness and readiness of every container."""
        answers = {}

        def ready():
            answers.update({(container.spec["name"], name): container.probe(self, container.spec[name])
                            for container in running for name in ("livenessProbe", "readinessProbe")})
            return all(answers.values()) or any(container.process.poll() is not None for container in running)

        self.until(READY_LIMIT_S, ready)
        if not all(answers.values()):
            raise RuntimeError(f"probes: {answers}; ended: {[container.process.poll() for container in running]}")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"phase": "Running", "startTime": now,
                "conditions": [{"type": name, "status": "True", "lastTransitionTime": now}
                               for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")],
                "containerStatuses": [{"name": container.spec["name"], "ready": True, "started": True, "restartCount": 0,
                                       "image": container.spec["image"], "imageID": "", "state": {"running": {"startedAt": now}}}
                                      for container in running]}

    def until(self, limit_s, done):
        """Whether it came to pass in time; nobody waits for a node that stops."""
        limit = time.monotonic() + limit_s
        while not (found := done()) and time.monotonic() < limit and not self.stopping.wait(POLL_S):
            pass
        return found

    def content(self, pod, kind, name):
        """The data of a Secret or ConfigMap.

        One that is not there yet is waited for, as a kubelet does: cert-manager may write it after the pod has come.
        """
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/{kind}/{name}"
        found = self.until(OBJECT_LIMIT_S, lambda: self.api.find(path))
        if found is None:
            raise RuntimeError(f"{kind}/{name}, which the pod names, was not there within {OBJECT_LIMIT_S} s")
        return found.get("data", {})

    def wait_for_deletion(self, path, look):
        while True:
            pod = self.api.find(path)
            if pod is None or pod["metadata"].get("deletionTimestamp"):
                return pod or {"metadata": {"deletionGracePeriodSeconds": 30}}
            look()
            if self.stopping.wait(POLL_S):
                return pod | {"metadata": pod["metadata"] | {"deletionGracePeriodSeconds": 30}}

    def remove(self, path):
        if not self.stopping.is_set():
            try:
                self.api.delete(path, gracePeriodSeconds=0)
            except Refused as refused:
                if refused.code != 404:
                    raise

    def status(self, path, status):
        return self.api.patch(path + "/status", {"status": status})

    def network_of_servers(self, pod):
        """The one network that there is: that of a server of this namespace."""
        with self.lock:
            for other, running in self.containers.values():
                alive = all(container.process.poll() is None for container in running)
                if alive and other["metadata"]["namespace"] == pod["metadata"]["namespace"]:
                    return running[0].network()
        raise RuntimeError("no server runs in this namespace")

    def hosts(self, pod):
        """Names of Services with the addresses that the endpoint controller found for them."""
        namespace = pod["metadata"]["namespace"]
        lines = ["127.0.0.1 localhost"]
        if pod["spec"]["restartPolicy"] == "Never":
            for item in self.api.items(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"):
                service = self.api.get(f"/api/v1/namespaces/{namespace}/services/{item['metadata']['labels']['kubernetes.io/service-name']}")
                ports = {port["name"]: port["port"] for port in item["ports"]}
                for port in service["spec"]["ports"]:
                    # another port of the Service would have to be translated, which this node does not do
                    if ports.get(port["name"]) == port["port"]:
                        lines += [f"{address} {service['metadata']['name']}" for end in item["endpoints"] if end["conditions"]["ready"]
                                  for address in end["addresses"]]
        return "\n".join(lines) + "\n"

    def environment(self, pod, spec):
        values = {}
        for source in spec.get("envFrom", []):
            values |= self.content(pod, "configmaps", source["configMapRef"]["name"])
        for entry in spec.get("env", []):
            if "valueFrom" in entry:
                field = entry["valueFrom"]["fieldRef"]["fieldPath"]
                values[entry["name"]] = {"metadata.name": pod["metadata"]["name"], "status.podIP": pod["status"].get("podIP")}[field]
            else:
                values[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], entry.get("value", ""))
        return values

    def volume(self, pod, volume, folder, group):
        """A volume as the kubelet lays it out: files behind a link that is exchanged as a whole."""
        if set(volume) - set(KNOWN_VOLUMES):
            raise ValueError(f"the node does not know the volume {volume}")
        place = folder / volume["name"]
        if place.exists():
            return place
        place.mkdir(parents=True)
        if "configMap" in volume:
            content = self.content(pod, "configmaps", volume["configMap"]["name"])
            files, source = {name: text.encode() for name, text in content.items()}, volume["configMap"]
        elif "secret" in volume:
            content = self.content(pod, "secrets", volume["secret"]["secretName"])
            files, source = {name: base64.b64decode(text) for name, text in content.items()}, volume["secret"]
        else:
            files, source = {}, {}
            place.chmod(0o2770)
            os.chown(place, 0, group)
        if "items" in source:
            files = {item["path"]: files[item["key"]] for item in source["items"]}
        version = place / "..version"
        version.mkdir()
        (place / "..data").symlink_to("..version")
        for name, content in files.items():
            (version / name).write_bytes(content)
            (version / name).chmod(source["defaultMode"])
            os.chown(version / name, 0, group)
            (place / name).symlink_to(f"..data/{name}")
        return place

    def errors_of(self, namespace):
        """What went wrong there, and with the node itself."""
        return [text for place, text in self.errors if place in ("", namespace)]

    def evidence(self):
        """What a reader of a failure wants to see: what the API says of each pod, and the end of each container's log."""
        lines = [f"node: {place}: {text}" for place, text in self.errors]
        with self.lock:
            known = list(self.containers.values())
        for pod, running in known:
            for container in running:
                lines.append(f"container {pod['metadata']['namespace']}/{pod['metadata']['name']}/{container.spec['name']}, "
                             f"exit code {container.process.poll()}:\n{container.text()[-1500:]}")
        try:
            for pod in self.api.items("/api/v1/pods"):
                lines.append(f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}: {pod['status']}")
        except (OSError, Refused) as error:
            lines.append(f"the API server does not tell of pods: {error}")
        return "\n".join(lines)

    def of(self, namespace):
        """The running servers of a namespace, as (pod, containers)."""
        with self.lock:
            return [(pod, running) for pod, running in self.containers.values() if pod["metadata"]["namespace"] == namespace
                    and pod["spec"]["restartPolicy"] != "Never" and all(one.process.poll() is None for one in running)]

    def stop(self):
        self.stopping.set()
        self.loop.join()
        for thread in self.threads:
            thread.join()
