"""A Kubernetes control plane on loopback: etcd, the API server, the controllers that the chart meets.

Kubelet and scheduler are played by node.py. Everything stands in one folder and ends with `stop`.
"""

import json
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from serving import free_ports  # noqa: E402  (the folder must be known first)

TOKEN = "administrator-of-this-cluster"
START_LIMIT_S = 240
CALL_LIMIT_S = 60
SETTLED_S = 2
CONTROLLERS = ("deployment", "replicaset", "endpointslice", "garbage-collector", "serviceaccount", "namespace")
# What other people's operators bring: group, version, plural, kind.
FOREIGN = (
    ("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor"),
    ("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule"),
    ("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute"),
    ("cert-manager.io", "v1", "certificates", "Certificate"),
    ("external-secrets.io", "v1", "externalsecrets", "ExternalSecret"),
)


class Refused(Exception):
    """The API server said no."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Api:
    """The API server, spoken to as its administrator."""

    def __init__(self, address, authority):
        self.address = address
        self.context = ssl.create_default_context(cafile=authority)

    def call(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(
            self.address + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind, "Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=CALL_LIMIT_S) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode("utf-8", "replace")) from None
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def get(self, path):
        return self.call("GET", path)

    def find(self, path):
        """The object, or None where there is none."""
        try:
            return self.get(path)
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def items(self, path):
        return self.get(path)["items"]

    def create(self, path, body):
        return self.call("POST", path, body)

    def patch(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path, **options):
        return self.call("DELETE", path, options or None)

    def resources(self):
        """Path of each listable kind: (namespaced, path with {namespace})."""
        versions = ["/api/v1"]
        for group in self.get("/apis")["groups"]:
            versions.append(f"/apis/{group['preferredVersion']['groupVersion']}")
        for version in versions:
            for resource in self.get(version)["resources"]:
                if "/" in resource["name"] or "list" not in resource["verbs"]:
                    continue
                middle = "/namespaces/{namespace}" if resource["namespaced"] else ""
                yield resource["namespaced"], f"{version}{middle}/{resource['name']}"

    def everything(self, namespace=None):
        """Names of all objects in a namespace, or of all that stand in none."""
        names = set()
        for namespaced, path in self.resources():
            # events tell what happened and go by themselves
            if namespaced == (namespace is not None) and not path.endswith("/events"):
                kind = path.rsplit("/", 1)[1]
                names |= {f"{kind}/{item['metadata']['name']}" for item in self.items(path.format(namespace=namespace))}
        return names


class ControlPlane:
    """The running programs."""

    def __init__(self, folder, kubernetes, etcd):
        self.folder = pathlib.Path(folder)
        self.programs = []
        bin_folder = pathlib.Path(kubernetes).parent
        store, store_peer, port, controllers_port, self.kubelet_port = free_ports(5)
        self.kubeconfig = self.folder / "kubeconfig"
        address = f"https://127.0.0.1:{port}"
        key = self.folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n', encoding="utf-8")
        self.start(etcd, "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level", "error",
                   "--listen-client-urls", f"http://127.0.0.1:{store}", "--advertise-client-urls", f"http://127.0.0.1:{store}",
                   "--listen-peer-urls", f"http://127.0.0.1:{store_peer}",
                   "--initial-advertise-peer-urls", f"http://127.0.0.1:{store_peer}",
                   "--initial-cluster", f"default=http://127.0.0.1:{store_peer}")
        self.start(bin_folder / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{store}", "--bind-address=127.0.0.1",
                   "--advertise-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={self.folder}/certificates",
                   "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
                   f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.0.0.0/24",
                   "--authorization-mode=RBAC", f"--token-auth-file={self.folder}/tokens.csv",
                   "--kubelet-preferred-address-types=InternalIP")
        authority = self.folder / "certificates/apiserver.crt"
        self.wait_for(authority.exists, "the API server's certificate")
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address, "certificate-authority": str(authority)}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
        }), encoding="utf-8")
        self.kubeconfig.chmod(0o600)
        self.api = Api(address, authority)
        self.wait_for(lambda: self.api.get("/readyz") == "ok", "the API server")
        self.start(bin_folder / "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                   "--bind-address=127.0.0.1", f"--secure-port={controllers_port}", f"--cert-dir={self.folder}/controllers",
                   f"--service-account-private-key-file={key}",
                   "--controllers=" + ",".join(f"{name}-controller" for name in CONTROLLERS))
        # what a node needs for `kubectl port-forward`; node.py lays the networks there
        self.networks = self.folder / "networks"
        self.networks.mkdir()
        self.start(bin_folder / "port-forwarder", f"127.0.0.1:{self.kubelet_port}", self.networks)
        self.register_foreign_kinds()

    def start(self, program, *arguments):
        with (self.folder / f"{pathlib.Path(program).name}.log").open("wb") as log:
            self.programs.append(subprocess.Popen([str(part) for part in (program, *arguments)], stdout=log, stderr=log,
                                                  stdin=subprocess.DEVNULL))

    def wait_for(self, done, what):
        until = time.monotonic() + START_LIMIT_S
        while True:
            try:
                if done():
                    return
            except (OSError, Refused):
                pass
            dead = [program.args[0] for program in self.programs if program.poll() is not None]
            if dead or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"{what} did not come up; ended: {dead}\n{self.evidence()}")
            time.sleep(0.1)

    def evidence(self):
        """The end of what each program wrote."""
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}" for log in sorted(self.folder.glob("*.log")))

    def settled(self):
        """All objects that stand in no namespace, once no controller adds any more."""
        until, since, before = time.monotonic() + START_LIMIT_S, time.monotonic(), None
        while time.monotonic() < since + SETTLED_S:
            if (now := self.api.everything()) != before:
                since, before = time.monotonic(), now
            if time.monotonic() > until:
                raise RuntimeError(f"the cluster does not settle\n{self.evidence()}")
            time.sleep(0.1)
        return before

    def register_foreign_kinds(self):
        """Minimal definitions: the kinds are there, whatever stands in them is kept."""
        for group, version, plural, kind in FOREIGN:
            anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            self.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                # a group of Kubernetes' own asks for the word of those who approve such groups
                "metadata": {"name": f"{plural}.{group}",
                             "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}},
                "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                         "versions": [{"name": version, "served": True, "storage": True,
                                       "schema": {"openAPIV3Schema": anything}}]}})
        for group, version, plural, _ in FOREIGN:
            self.wait_for(lambda path=f"/apis/{group}/{version}/{plural}": "items" in self.api.get(path), plural)

    def stop(self):
        for program in reversed(self.programs):
            program.terminate()
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
