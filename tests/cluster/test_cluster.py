"""The chart on a real Kubernetes API server: installed, changed, rolled back, tested, taken away.

Deployment, ReplicaSet and Pod come into being by Kubernetes' own controllers. Each pod is then run as
the API says (node.py), so that what Kubernetes would run is what was run.
"""

import base64
import hashlib
import json
import os
import pathlib
import secrets
import subprocess
import tempfile
import threading
import time
import tomllib
import unittest
from concurrent.futures import ThreadPoolExecutor

import yaml

import image
from control_plane import ROOT, ControlPlane
from network import Network
from node import Node

CHART = ROOT / "helm/cardproof"
DEVELOPMENT = CHART / "ci/development-values.yaml"
PRODUCTION = CHART / "ci/production-values.yaml"
EVERYTHING = ROOT / "tests/helm/everything-values.yaml"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
GONE_LIMIT_S = 180
HELM_LIMIT = "240s"
# cert-manager and External Secrets take their time: the pod that mounts what they make is there first
OPERATORS_TAKE_S = 1
NAMESPACES = set()
# each release that has Redis has a database of its own
DATABASES = {"production": 0, "everything": 1}
ADMIN_PORT = 9464
# a wait that is only for the test's sake ends early
FASTER = {"config": {"server": {"drain_delay_ms": 100}}}


def setUpModule():
    global FOLDER, PLANE, NETWORK, NODE, BEFORE  # pylint: disable=global-variable-undefined
    if os.geteuid() != 0:
        raise RuntimeError("the sandboxes need root for their namespaces")
    FOLDER = tempfile.TemporaryDirectory(prefix="cluster-")
    PLANE = ControlPlane(FOLDER.name, os.environ["KUBE_APISERVER"], os.environ["ETCD"])
    unittest.addModuleCleanup(FOLDER.cleanup)
    unittest.addModuleCleanup(PLANE.stop)
    NETWORK = Network(pathlib.Path(FOLDER.name, "redis"), os.environ["REDIS_SERVER"])
    unittest.addModuleCleanup(NETWORK.stop)
    NODE = Node(PLANE, NETWORK, pathlib.Path(FOLDER.name, "pods"), os.environ["CARDPROOF_BIN"], os.environ["HEALTH_PROBE"])
    unittest.addModuleCleanup(NODE.stop)
    BEFORE = PLANE.settled()
    environment = {"KUBECONFIG": str(PLANE.kubeconfig), "HELM_CACHE_HOME": FOLDER.name, "HELM_DRIVER": "secret"}
    os.environ.update(environment)


def helm(*arguments, values=None):
    """Runs Helm against the cluster; returns the finished process, which must have gone well."""
    command = [os.environ["HELM"], *map(str, arguments)]
    text = None if values is None else yaml.safe_dump(values)
    done = subprocess.run(command + (["--values", "-"] if values is not None else []), input=text,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def until(done, what):
    limit = time.monotonic() + GONE_LIMIT_S
    while not (found := done()):
        if time.monotonic() > limit:
            raise AssertionError(what() if callable(what) else what)
        time.sleep(0.1)
    return found


class Release:
    """One release in a namespace of its own."""

    def __init__(self, namespace, *files):
        self.namespace, self.files = namespace, [part for name in files for part in ("--values", name)]
        NAMESPACES.add(namespace)
        PLANE.api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                                "metadata": {"name": namespace, "labels": RESTRICTED}})
        # what every namespace gets by itself
        until(lambda: PLANE.api.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"), "no default account")
        self.before = PLANE.api.everything(namespace)

    def helm(self, command, *arguments, values=None):
        done = helm(command, "cardproof", *arguments, "--namespace", self.namespace, values=values)
        return done

    def one(self, path, name="cardproof"):
        return PLANE.api.get(f"{path.format(self.namespace)}/{name}")

    def deployment(self, name="cardproof"):
        return self.one("/apis/apps/v1/namespaces/{}/deployments", name)

    def configuration(self, name="cardproof"):
        return tomllib.loads(self.one("/api/v1/namespaces/{}/configmaps", name)["data"]["cardproof.toml"])

    def secret(self, name, owner=None, **content):
        owners = [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                   "uid": owner["metadata"]["uid"]}] if owner else []
        PLANE.api.create(f"/api/v1/namespaces/{self.namespace}/secrets", {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "ownerReferences": owners},
            "stringData": content})


def certificate(names):
    """What cert-manager would write: a certificate for these names, its key, and its authority."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "settings").write_text(
            "[req]\nprompt = no\ndistinguished_name = who\nx509_extensions = what\n[who]\nCN = test\n[what]\n"
            f"basicConstraints = CA:FALSE\nsubjectAltName = {','.join(f'DNS:{name}' for name in names)}\n", encoding="utf-8")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-config", f"{folder}/settings", "-keyout", f"{folder}/key", "-out", f"{folder}/crt"],
                       check=True, capture_output=True)
        key, found = (pathlib.Path(folder, name).read_text(encoding="utf-8") for name in ("key", "crt"))
    return {"tls.crt": found, "tls.key": key, "ca.crt": found}


def play_operators(release, finished):
    """cert-manager and External Secrets: the Secrets that their objects ask for, once those are there.

    Both belong to their objects; cert-manager does so only if it is told to (docs/KUBERNETES.md).
    """
    done = set()
    while not finished.wait(OPERATORS_TAKE_S):
        for item in PLANE.api.items(f"/apis/cert-manager.io/v1/namespaces/{release.namespace}/certificates"):
            if item["spec"]["secretName"] not in done:
                done.add(item["spec"]["secretName"])
                release.secret(item["spec"]["secretName"], item, **certificate(item["spec"]["dnsNames"]))
        for item in PLANE.api.items(f"/apis/external-secrets.io/v1/namespaces/{release.namespace}/externalsecrets"):
            if item["spec"]["target"]["name"] not in done:
                done.add(item["spec"]["target"]["name"])
                release.secret(item["spec"]["target"]["name"], item, **{
                    entry["secretKey"]: NETWORK.redis.url(DATABASES[release.namespace]) for entry in item["spec"]["data"]})


class Cluster(unittest.TestCase):
    def quiet(self, done):
        """No word of Pod Security, nor any other warning of the API server, which Helm hands on there."""
        self.assertEqual(done.stderr, "")

    def new_pods(self, release, count=1):
        """The pods of the newest ReplicaSet, once the old ones are gone."""
        until(lambda: len(NODE.of(release.namespace)) == count, f"not {count} pods in {release.namespace}")
        self.assertEqual(NODE.errors_of(release.namespace), [])
        return NODE.of(release.namespace)

    def check_sandbox(self, pod, container):
        """The pod was run as it says, and what it says is what the chart promises."""
        open_mounts = [mount["mountPath"] for mount in container.spec.get("volumeMounts", []) if not mount.get("readOnly")]
        self.assertEqual(container.report, {"root_written": False, "mounts_written": open_mounts})
        rights = container.rights()
        self.assertEqual(rights["Uid"], ["65532"] * 4)
        self.assertEqual(rights["Gid"], ["65532"] * 4)
        self.assertEqual(set(rights["Groups"]), {"65532"})
        self.assertEqual(rights["NoNewPrivs"], ["1"])
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(rights[kind][0], 16), 0, kind)
        self.assertEqual(container.arguments, [*image.ENTRYPOINT, "serve"])
        self.assertEqual(container.environment["CARDPROOF_CONFIG"], "/etc/cardproof/config/cardproof.toml")
        self.assertIs(pod["spec"]["automountServiceAccountToken"], False)
        # no token of the API server, by whatever way
        self.assertFalse([volume for volume in pod["spec"]["volumes"] if "projected" in volume])

    def check_hook(self, release, done):
        self.assertIn("Phase:          Succeeded", done.stdout)
        pods = [entry for entry in NODE.ended if entry[0]["metadata"]["namespace"] == release.namespace
                and entry[0]["spec"]["restartPolicy"] == "Never"]
        self.assertTrue(pods)
        for _, running, codes in pods:
            self.assertEqual(codes, [0] * len(running))
            self.assertTrue(all(container.arguments[1] == "healthcheck" for container in running))

    def gone(self, release):
        """Whatever the release brought, Kubernetes' own garbage collection included."""
        until(lambda: not PLANE.api.everything(release.namespace) - release.before,
              lambda: f"left behind: {PLANE.api.everything(release.namespace) - release.before}")
        self.assertEqual(NODE.errors_of(release.namespace), [])
        for pod, running, codes in NODE.ended:
            if pod["metadata"]["namespace"] == release.namespace:
                self.assertEqual(codes, [0] * len(running), [container.text()[-2000:] for container in running])

    def life(self, release, name="cardproof", changes=None, look=lambda release, running: None):
        """install, test, upgrade, rollback, uninstall; looking at what stands in the API in between."""
        self.quiet(release.helm("install", CHART, *release.files, "--wait", "--timeout", HELM_LIMIT, values=changes))
        (pod, running), = self.new_pods(release)
        for container in running:
            self.check_sandbox(pod, container)
        look(release, running[0])
        self.check_redis(release)
        first, settings = release.deployment(name), release.configuration(name)
        scalers = PLANE.api.items(f"/apis/autoscaling/v2/namespaces/{release.namespace}/horizontalpodautoscalers")
        self.assertEqual(settings["server"]["replicas"],
                         scalers[0]["spec"]["maxReplicas"] if scalers else first["spec"]["replicas"])
        self.check_hook(release, release.helm("test", "--timeout", HELM_LIMIT))

        merged = json.loads(json.dumps(changes or {}))
        merged.setdefault("config", {})["guard"] = {"max_calls": 9}
        self.quiet(release.helm("upgrade", CHART, *release.files, "--wait", "--timeout", HELM_LIMIT, values=merged))
        (changed, _), = self.new_pods(release)
        self.assertNotEqual(changed["metadata"]["uid"], pod["metadata"]["uid"])
        self.assertEqual(release.configuration(name)["guard"]["max_calls"], 9)

        self.quiet(release.helm("rollback", "--wait", "--timeout", HELM_LIMIT))
        (back, _), = self.new_pods(release)
        self.assertEqual(release.configuration(name), settings)
        self.assertEqual(release.deployment(name)["spec"], first["spec"])
        self.assertEqual(back["spec"]["containers"], pod["spec"]["containers"])
        self.check_redis(release)

        release.helm("uninstall")
        self.gone(release)

    # Most of a life is waiting, so they go on side by side; each has a namespace of its own.
    @classmethod
    def setUpClass(cls):
        pool = ThreadPoolExecutor(3)
        cls.lives = {name: pool.submit(cls().explained, getattr(cls(), name)) for name in dir(cls) if name.startswith("life_of_")}
        cls.addClassCleanup(pool.shutdown)

    def explained(self, life):
        """A life; one that fails tells how things stood at that moment, before its end changes them."""
        try:
            return life()
        except BaseException as error:
            error.add_note(f"{NODE.evidence()}\n{PLANE.evidence()}")
            raise

    def test_development(self):
        self.lives["life_of_development"].result()

    def test_production(self):
        self.lives["life_of_production"].result()

    def test_everything(self):
        self.lives["life_of_everything"].result()

    def test_two_replicas(self):
        self.lives["life_of_two_replicas"].result()

    def test_a_pod_that_is_not_restricted_is_told(self):
        self.lives["life_of_a_pod_that_is_not_restricted"].result()

    def test_the_cluster_is_left_as_it_was(self):
        """Beside the namespaces, where each life has looked for itself."""
        ended_early = [name for name, life in self.lives.items() if life.exception() is not None]
        self.assertEqual(ended_early, [], "these took nothing away; each tells why in a test of its own")
        own = {"priorityclasses/business-critical", "runtimeclasses/gvisor"} | {f"namespaces/{name}" for name in NAMESPACES}
        until(lambda: PLANE.api.everything() - own == BEFORE, lambda: f"left behind: {PLANE.api.everything() - own ^ BEFORE}")

    def test_readme(self):
        """The README's section on Kubernetes, typed word for word."""
        self.lives["life_of_the_readme"].result()

    def life_of_the_readme(self):
        folders = [pathlib.Path(os.environ[name]).parent for name in ("HELM", "KUBE_APISERVER", "GRPCURL")]
        path = ":".join(map(str, [*folders, os.environ["PATH"]]))
        NAMESPACES.add("cardproof")
        done = subprocess.run(["python3", "-B", ROOT / "tests/readme/check.py", ROOT / "README.md", "--kind", "shellsession"],
                              env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}")
        self.assertGreater(done.stdout.count("\nok"), 8)
        # an account and a certificate come with every namespace
        own = {"serviceaccounts/default"}
        until(lambda: not PLANE.api.everything("cardproof") - own, lambda: f"left behind: {PLANE.api.everything('cardproof') - own}")

    def life_of_development(self):
        self.life(Release("development", DEVELOPMENT), changes=FASTER)

    def check_redis(self, release):
        """Every pod that runs now works with the Redis whose URL is in the Secret, if there is one."""
        database = DATABASES.get(release.namespace)
        for _, running in NODE.of(release.namespace):
            wanted = None if database is None else {"up": True}
            until(lambda pod=running[0], up=wanted: pod.status(ADMIN_PORT)["redis"] == up, f"the service's Redis is not {wanted}")
        if database is None:
            return
        self.assertLessEqual({"cardproof:epoch", "cardproof:beats"}, set(NETWORK.redis.lines("-n", str(database), "KEYS", "*")))
        self.assertEqual(NETWORK.redis.refused(), [])

    def life_with_vendors(self, release, name, changes, look=lambda release, running: None):
        for secret, keys in {"tencent": ("secret_id", "secret_key"), "ace": ("token", "ace-token"), "admin": ("token",)}.items():
            release.secret(f"cardproof-{secret}", **{key: "made-up-" + key for key in keys})
        release.secret("cardproof-cache", key=secrets.token_hex(32))
        PLANE.api.create(f"/api/v1/namespaces/{release.namespace}/configmaps", {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}, "data": {"CARDPROOF__GUARD__MAX_MISMATCHES": "1"}})
        release.before = PLANE.api.everything(release.namespace)
        finished = threading.Event()
        operators = threading.Thread(target=play_operators, args=(release, finished), daemon=True)
        operators.start()
        try:
            self.life(release, name, changes, look)
        finally:
            finished.set()
            operators.join()

    def life_of_production(self):
        token = secrets.token_urlsafe()
        changes = {"config": {**FASTER["config"],
                              "clients": {"checkout": {"token_sha256": [hashlib.sha256(token.encode()).hexdigest()]}}}}
        self.life_with_vendors(Release("production", PRODUCTION), "cardproof", changes,
                               lambda release, running: self.ask_over_tls(release, running, token))

    def ask_over_tls(self, release, running, token):
        """A caller with the certificate's authority and a token, by the name of the Service."""
        authority = base64.b64decode(release.one("/api/v1/namespaces/{}/secrets", "cardproof-tls")["data"]["ca.crt"])
        folder = pathlib.Path(FOLDER.name, "caller")
        folder.mkdir()
        for name, content in {"ca.crt": authority, "token": token.encode(), "other": b"other",
                              "hosts": f"{running.address} cardproof.production.svc\n".encode()}.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)

        def ask(token_file):
            command = (f"mount --make-rprivate / && mount --bind {folder}/hosts /etc/hosts && exec {os.environ['CARDPROOF_BIN']} card-info "
                       f"--json --addr https://cardproof.production.svc:50051 --ca {folder}/ca.crt --token-file {folder}/{token_file}")
            return subprocess.run(["nsenter", f"--net={running.network()}", "unshare", "--mount", "sh", "-c", command],
                                  input='{"bank_card":"622202"}', capture_output=True, text=True, check=False)
        done = ask("token")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout)["bankCode"], "ICBC")
        self.assertNotEqual(ask("other").returncode, 0)

    def life_of_everything(self):
        """Every switch of the chart at once."""
        for path, kind, more in (("scheduling.k8s.io/v1/priorityclasses", "PriorityClass",
                                  {"value": 1000, "metadata": {"name": "business-critical"}}),
                                 ("node.k8s.io/v1/runtimeclasses", "RuntimeClass", {"handler": "runsc", "metadata": {"name": "gvisor"}})):
            PLANE.api.create(f"/apis/{path}", {"apiVersion": path.rsplit("/", 1)[0], "kind": kind, **more})

        def look(release, running):
            self.assertEqual(running.environment["CARDPROOF__GUARD__MAX_CALLS"], "8")
            self.assertEqual(running.environment["CARDPROOF__GUARD__MAX_MISMATCHES"], "1")
            self.assertEqual(running.environment["OTEL_RESOURCE_ATTRIBUTES"].split("k8s.pod.name=")[1],
                             NODE.of(release.namespace)[0][0]["metadata"]["name"])
        self.life_with_vendors(Release("everything", PRODUCTION, EVERYTHING), "cardproof-cards",
                               FASTER, look)

    def life_of_two_replicas(self):
        """Two pods, and the one signal that an update may give: none is missing while it goes on."""
        release = Release("replicas", DEVELOPMENT)
        done = release.helm("install", CHART, *release.files, "--wait", "--timeout", HELM_LIMIT, values={**FASTER, "replicaCount": 2})
        self.assertIn("2 replicas without Redis", done.stdout)
        self.new_pods(release, 2)
        self.assertEqual(release.configuration()["server"]["replicas"], 2)
        release.helm("uninstall")
        self.gone(release)

    def life_of_a_pod_that_is_not_restricted(self):
        """The check above can fail: the API server says so, and lets no such pod in."""
        release = Release("unrestricted", DEVELOPMENT)
        loose = {"name": "loose", "image": "loose", "securityContext": {"allowPrivilegeEscalation": True}}
        done = release.helm("install", CHART, *release.files, values={"extraContainers": [loose]})
        with self.assertRaises(AssertionError):
            self.quiet(done)
        self.assertRegex(done.stderr, "would violate PodSecurity")
        release.helm("uninstall")
        self.gone(release)


if __name__ == "__main__":
    unittest.main()
