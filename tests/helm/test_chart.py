"""The chart as its users meet it: rendered by Helm, judged by other people's tools."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import tomllib
import unittest

import yaml

from chart import CASES, CHART, HERE, ROOT, helm, template

SCHEMAS = pathlib.Path(os.environ["SCHEMAS"])
VERSIONS = json.loads((HERE / "versions.json").read_text(encoding="utf-8"))["kubernetes"]
FOREIGN = ("Certificate", "ExternalSecret", "GRPCRoute", "PrometheusRule", "ServiceMonitor")
PRODUCTION = yaml.safe_load((CHART / "ci/production-values.yaml").read_text(encoding="utf-8"))


def objects(text):
    return [item for item in yaml.safe_load_all(text) if item]


def rendered(case="default", kubernetes=VERSIONS["newest"], values=None):
    done = template(case, kubernetes, values)
    if done.returncode != 0:
        raise AssertionError(f"helm template failed: {done.stderr}")
    return objects(done.stdout)


def only(items, kind, end=""):
    found = [item for item in items if item["kind"] == kind and item["metadata"]["name"].endswith(end)]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of kind {kind} with the ending {end!r}")
    return found[0]


def configuration(items):
    maps = [item for item in items if item["kind"] == "ConfigMap" and "cardproof.toml" in item["data"]]
    return maps[0]["data"]["cardproof.toml"]


def server(items):
    return only(items, "Deployment")["spec"]["template"]["spec"]


def command(*arguments, **more):
    return subprocess.run([str(part) for part in arguments], capture_output=True, text=True, check=False, **more)


def put(table, dotted, value):
    *parents, last = dotted.split(".")
    for name in parents:
        table = table.setdefault(name, {})
    table[last] = value


def get(table, dotted):
    for name in dotted.split("."):
        table = table[name]
    return table


class OtherTools(unittest.TestCase):
    def test_lint(self):
        for case, files in CASES.items():
            arguments = [part for name in files for part in ("--values", name)]
            for version in VERSIONS.values():
                with self.subTest(case=case, version=version):
                    done = helm("lint", CHART, "--strict", "--kube-version", version, *arguments)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_golden_renders(self):
        for case in CASES:
            with self.subTest(case=case):
                wanted = (HERE / "golden" / f"{case}.yaml").read_text(encoding="utf-8")
                self.assertEqual(template(case).stdout, wanted, "scripts/helm-golden writes them anew")

    def test_core_kinds_against_their_schemas(self):
        location = f"{SCHEMAS}/core/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        for case in CASES:
            for version in VERSIONS.values():
                with self.subTest(case=case, version=version):
                    done = command(os.environ["KUBECONFORM"], "-strict", "-output", "json", "-summary",
                                   "-kubernetes-version", version, "-skip", ",".join(FOREIGN),
                                   "-schema-location", location, "-", input=template(case, version).stdout)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    self.assertGreaterEqual(json.loads(done.stdout)["summary"]["valid"], 8)

    def test_the_schemas_find_a_mistake(self):
        broken = template("default").stdout.replace("terminationGracePeriodSeconds", "terminationGrace")
        location = f"{SCHEMAS}/core/v{VERSIONS['newest']}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        done = command(os.environ["KUBECONFORM"], "-strict", "-schema-location", location, "-", input=broken)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("terminationGrace", done.stdout)

    def foreign(self, items):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(items, file)
            file.flush()
            return command("node", HERE / "foreign.mjs", SCHEMAS, file.name)

    def test_foreign_kinds_against_their_makers_schemas(self):
        for case in ("production", "everything"):
            with self.subTest(case=case):
                items = [item for item in rendered(case) if item["kind"] in FOREIGN]
                self.assertEqual({item["kind"] for item in items}, set(FOREIGN))
                done = self.foreign(items)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_makers_schemas_find_mistakes(self):
        for kind in FOREIGN:
            with self.subTest(kind=kind):
                item = only(rendered("production"), kind)
                item["spec"]["unheardOf"] = 1
                done = self.foreign([item])
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("unheardOf", done.stdout)

    def test_checkov(self):
        skips = yaml.safe_load((HERE / "checkov.yaml").read_text(encoding="utf-8"))["skip-check"]
        found = set()
        for case in ("development", "production", "everything"):
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder, "all.yaml")
                file.write_text(template(case).stdout, encoding="utf-8")
                done = command(os.environ["CHECKOV"], "--framework", "kubernetes", "--output", "json",
                               "--quiet", "--compact", "--skip-download", "--file", file)
                report = json.loads(done.stdout)
                self.assertGreater(report["summary"]["passed"], 100)
                self.assertEqual(report["summary"]["parsing_errors"], 0)
                for failure in report["results"]["failed_checks"]:
                    # a skip that names the test pod says nothing about the server
                    on_test = failure["resource"].endswith("-test")
                    digest = case == "development" and failure["check_id"] in ("CKV_K8S_43", "CKV_K8S_14")
                    excused = failure["check_id"] in skips and (on_test or failure["check_id"] == "CKV_K8S_15")
                    # a first look has no digest to name
                    self.assertTrue(excused or digest, (case, failure["check_id"], failure["resource"]))
                    found.add(failure["check_id"])
        self.assertEqual(set(skips) - found, set(), "skips that excuse nothing")


class Configuration(unittest.TestCase):
    def accepted(self, items):
        """Whether the program takes the rendered configuration, with every mounted file in its place."""
        with tempfile.TemporaryDirectory() as folder:
            text = configuration(items)
            pathlib.Path(folder, "tls.pem").write_text("", encoding="utf-8")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                            "-nodes", "-days", "2", "-subj", "/CN=cardproof", "-keyout", f"{folder}/tls.key",
                            "-out", f"{folder}/tls.crt"], check=True, capture_output=True)
            pathlib.Path(folder, "ca.crt").write_bytes(pathlib.Path(folder, "tls.crt").read_bytes())
            secret = pathlib.Path(folder, "secret")
            secret.write_text("redis://u:p@127.0.0.1:6379/0", encoding="utf-8")
            text = text.replace("/etc/cardproof/tls/", f"{folder}/")
            text = re.sub(r"/run/secrets/cardproof/[a-z_/]+", str(secret), text)
            file = pathlib.Path(folder, "cardproof.toml")
            file.write_text(text, encoding="utf-8")
            return command(os.environ["CARDPROOF_BIN"], "check-config", "--config", file)

    def test_the_program_accepts_what_is_rendered(self):
        for case in CASES:
            with self.subTest(case=case):
                done = self.accepted(rendered(case))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_file_of_the_configuration_is_mounted(self):
        for case in ("production", "everything"):
            items = rendered(case)
            mounts = [mount["mountPath"] for mount in server(items)["containers"][0]["volumeMounts"]]
            paths = re.findall(r'"(/(?:etc|run)/[^"]+)"', configuration(items))
            self.assertGreater(len(paths), 5)
            for path in paths:
                self.assertTrue(any(path.startswith(mount + "/") for mount in mounts), path)

    def test_every_key_is_reachable(self):
        with open(ROOT / "tests/config/keys.toml", "rb") as file:
            keys = tomllib.load(file)["key"]
        self.assertGreater(len(keys), 90)
        base = yaml.safe_load((HERE / "keys-values.yaml").read_text(encoding="utf-8"))
        names = {"tencent": "tencent", "alibaba": "alibaba", "ace": "ace", "grpc": "mine", "sandbox": "sandbox", "bin": "bin"}
        for key in keys:
            for kind in key.get("kinds", [""]):
                name = key["name"].replace("clients.NAME", "clients.checkout").replace("TYPE", "PASSPORT")
                name = name.replace("providers.NAME", f"providers.{names.get(kind)}")
                with self.subTest(name=name):
                    other = key["other"]
                    if name in ("server.listen", "server.admin_listen"):
                        # in a pod a loopback address is refused
                        other = "[::]:5" + re.sub("^.*:.", "", other)
                    config = json.loads(json.dumps(base))
                    put(config, name, other)
                    text = configuration(rendered(values={"config": config}))
                    self.assertEqual(get(tomllib.loads(text), name), other)

    def test_the_schema_knows_no_key_that_the_program_does_not(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        with open(ROOT / "tests/config/keys.toml", "rb") as file:
            known = {key["name"] for key in tomllib.load(file)["key"]}
        leaves = set()

        def walk(node, path):
            if "$ref" in node:
                kind = node["$ref"].removeprefix("#/$defs/")
                if kind == "secret":
                    leaves.add(path)
                    return
                node = schema["$defs"][kind]
            for part in node.get("anyOf", []):
                walk(part, path)
            for name, part in node.get("properties", {}).items():
                if path == "providers" and name in ("sandbox", "bin"):
                    name = "NAME"
                if path.endswith("identity_types"):
                    name = "TYPE"
                walk(part, f"{path}.{name}".lstrip("."))
            if isinstance(node.get("additionalProperties"), dict):
                walk(node["additionalProperties"], f"{path}.NAME")
            if not any(word in node for word in ("properties", "additionalProperties", "anyOf")) and node.get("type") != "null":
                leaves.add(path)

        walk(schema["properties"]["config"], "")
        self.assertEqual(leaves - known, set())
        self.assertEqual(known - leaves, set())

    def test_numbers_and_strings_survive(self):
        config = {"telemetry": {"ledger_file": 'a"b\\c <&> \n 银行'}, "cache": {"ttl_s": {"match": 31536000}}}
        text = configuration(rendered(values={"config": config}))
        self.assertEqual(tomllib.loads(text)["telemetry"]["ledger_file"], config["telemetry"]["ledger_file"])
        self.assertIs(type(tomllib.loads(text)["cache"]["ttl_s"]["match"]), int)
        self.assertEqual(tomllib.loads(text)["cache"]["ttl_s"]["match"], 31536000)

    def test_replicas_are_the_most_that_may_run(self):
        for case, wanted in {"default": 1, "production": 10}.items():
            self.assertEqual(tomllib.loads(configuration(rendered(case)))["server"]["replicas"], wanted)
        autoscaler = only(rendered("production"), "HorizontalPodAutoscaler")
        self.assertEqual(autoscaler["spec"]["maxReplicas"], 10)
        self.assertNotIn("replicas", only(rendered("production"), "Deployment")["spec"])

    def test_a_changed_configuration_changes_the_pods(self):
        def checksum(values):
            annotations = only(rendered(values=values), "Deployment")["spec"]["template"]["metadata"]["annotations"]
            return annotations["checksum/config"]
        self.assertEqual(checksum({}), checksum({"service": {"port": 443}}))
        self.assertNotEqual(checksum({}), checksum({"config": {"guard": {"max_calls": 9}}}))


class Pods(unittest.TestCase):
    def test_time_to_finish(self):
        def grace(**settings):
            return server(rendered(values={"config": {"server": settings}}))["terminationGracePeriodSeconds"]
        self.assertEqual(grace(), 5 + 20 + 5)
        self.assertEqual(grace(drain_delay_ms=10001, shutdown_timeout_ms=30000), 41 + 5)

    def test_pods_are_restricted(self):
        for case in CASES:
            items = rendered(case)
            for pod in (server(items), only(items, "Pod")["spec"]):
                with self.subTest(case=case):
                    self.assertIs(pod["automountServiceAccountToken"], False)
                    self.assertIs(pod["enableServiceLinks"], False)
                    self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    for container in pod["containers"]:
                        rights = container["securityContext"]
                        self.assertIs(rights["readOnlyRootFilesystem"], True)
                        self.assertIs(rights["allowPrivilegeEscalation"], False)
                        self.assertIs(rights["runAsNonRoot"], True)
                        self.assertGreaterEqual(rights["runAsUser"], 10000)
                        self.assertEqual(rights["capabilities"], {"drop": ["ALL"]})

    def test_image_by_digest(self):
        image = server(rendered("production"))["containers"][0]["image"]
        self.assertRegex(image, r"^registry\.example\.org/cardproof@sha256:[0-9a-f]{64}$")

    def test_network_policy_opens_only_what_is_used(self):
        def ports(case):
            policy = only(rendered(case), "NetworkPolicy")["spec"]
            self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
            return [port["port"] for rule in policy["egress"] for port in rule["ports"]]
        self.assertEqual(ports("default"), [53, 53])
        self.assertEqual(ports("production"), [53, 53, 443, 6379, 4317])

    def test_the_probes_of_the_pod_succeed_on_the_real_service(self):
        items = rendered("development")
        container = server(items)["containers"][0]
        with tempfile.TemporaryDirectory() as folder, socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0)), two.bind(("127.0.0.1", 0))
            grpc, admin = one.getsockname()[1], two.getsockname()[1]
            one.close(), two.close()
            file = pathlib.Path(folder, "cardproof.toml")
            file.write_text(configuration(items).replace(":50051", f":{grpc}").replace(":9464", f":{admin}"), encoding="utf-8")
            environment = {entry["name"]: entry["value"] for entry in container["env"]}
            environment["CARDPROOF_CONFIG"] = str(file)
            process = subprocess.Popen([os.environ["CARDPROOF_BIN"], *container["args"]], env=environment,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                    probe = container[name]["grpc"]
                    self.assertEqual(probe["port"], 9464)
                    for _ in range(100):
                        done = command(os.environ["HEALTH_PROBE"], f"-addr=127.0.0.1:{admin}", f"-service={probe['service']}")
                        if done.returncode == 0:
                            break
                        time.sleep(0.05)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                # what `helm test` runs
                for test in only(items, "Pod")["spec"]["containers"]:
                    arguments = [re.sub(r"http://[a-z-]+:9464", f"http://127.0.0.1:{admin}", part) for part in test["args"]]
                    arguments = [re.sub(r"http://[a-z-]+:50051", f"http://127.0.0.1:{grpc}", part) for part in arguments]
                    done = command(os.environ["CARDPROOF_BIN"], *arguments)
                    self.assertEqual(done.returncode, 0, (arguments, done.stdout + done.stderr))
            finally:
                process.terminate()
                process.wait(30)


class Monitoring(unittest.TestCase):
    def alerts(self, case, values=None):
        groups = only(rendered(case, values=values), "PrometheusRule")["spec"]["groups"]
        return groups, {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}

    def test_promtool_accepts_the_rules(self):
        for case in ("production", "everything"):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump({"groups": self.alerts(case)[0]}, file)
                file.flush()
                done = command(os.environ["PROMTOOL"], "check", "rules", file.name)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_look_at_their_own_release_alone(self):
        groups, alerts = self.alerts("production")
        scope = 'namespace="cardproof",service="cardproof-admin"'
        selectors = [found for group in groups for rule in group["rules"] if not rule["expr"].startswith("vector(")
                     for found in re.findall(r"(?:\b(?:cardproof|rpc_server|http_client)[a-z0-9_:]*|\bup)(?:\{([^}]*)\})?", rule["expr"])]
        self.assertGreater(len(selectors), len(alerts))
        for selector in selectors:
            self.assertTrue(selector.startswith(scope), selector)
        limit = next(rule for group in groups for rule in group["rules"] if rule.get("record") == "cardproof:money_per_hour:limit")
        self.assertEqual(limit["expr"], "vector(200)")
        self.assertEqual(limit["labels"], {"currency": "CNY", "namespace": "cardproof", "service": "cardproof-admin"})
        service = only(rendered("production"), "Service", "-admin")
        self.assertEqual(service["metadata"]["name"], "cardproof-admin")

    def test_what_the_values_say_of_alerts(self):
        _, alerts = self.alerts("production")
        everything, some = self.alerts("everything")
        self.assertEqual(set(alerts) - set(some), {"CardproofClockSkew", "CardproofTelemetryDropped"})
        self.assertTrue(all(rule["labels"]["team"] == "payments" for rule in some.values()))
        self.assertNotIn("team", alerts["CardproofDown"]["labels"])
        self.assertEqual(alerts["CardproofDown"]["annotations"]["runbook_url"],
                         "https://wiki.example.org/cardproof/RUNBOOK.md#cardproofdown")
        limits = [(rule["expr"], rule["labels"]["currency"]) for group in everything for rule in group["rules"]
                  if rule.get("record") == "cardproof:money_per_hour:limit"]
        self.assertEqual(limits, [("vector(12.5)", "USD")])
        self.assertEqual(everything[-1]["name"], "more")

    def test_the_dashboard_is_handed_on_as_it_is(self):
        found = only(rendered("production"), "ConfigMap", "-dashboard")
        self.assertEqual(found["metadata"]["labels"]["grafana_dashboard"], "1")
        wanted = json.loads((CHART / "files/dashboard.json").read_text(encoding="utf-8"))
        self.assertEqual(json.loads(found["data"]["cardproof.json"]), wanted)
        other = only(rendered("everything"), "ConfigMap", "-dashboard")["metadata"]
        self.assertEqual((other["labels"]["dashboards"], other["annotations"]), ("cards", {"grafana_folder": "Payments"}))


class Refusals(unittest.TestCase):
    def refused(self, text, values, case="default"):
        done = template(case, values=values)
        self.assertNotEqual(done.returncode, 0, values)
        self.assertIn(text, done.stderr)

    def test_unknown_and_wrong_values(self):
        for text, values in (
            ("replicas", {"replicas": 2}),
            ("databse", {"config": {"databse": {}}}),
            ("max_cals", {"config": {"guard": {"max_cals": 1}}}),
            ("max_calls", {"config": {"guard": {"max_calls": 0}}}),
            ("digest", {"image": {"digest": "sha256:abc"}}),
            ("pullPolicy", {"image": {"pullPolicy": "Sometimes"}}),
            ("port", {"service": {"port": "grpc"}}),
            ("tag2", {"image": {"tag2": "x"}}),
            ("token", {"config": {"providers": {"mine": {"kind": "ace", "token": "plain text", "endpoint": "https://a"}}}}),
            ("mine", {"config": {"providers": {"mine": {"kind": "nobody"}}}}),
            ("Mine", {"config": {"providers": {"Mine": {"kind": "sandbox"}}}}),
            ("vendors", {"networkPolicy": {"vendors": {"to": []}}}),
            ("user", {"runAs": {"user": 0}}),
            ("moneyPerHour", {"prometheusRule": {"moneyPerHour": {"CNY": 0}}}),
            ("runbookUrl", {"prometheusRule": {"runbookUrl": "RUNBOOK.md"}}),
            ("alerts", {"prometheusRule": {"alerts": []}}),
            ("Up/../x", {"secrets": {"Up/../x": {"existingSecret": "x"}}}),
        ):
            with self.subTest(values=values):
                self.refused(text, values)

    def test_contradictions(self):
        for text, case, values in (
            ("names the sandbox provider", "default", {"config": {"mode": "production"}}),
            ("names the sandbox provider", "production", {"config": {"routes": {"verify_two": ["sandbox"]}}}),
            ("names the sandbox provider", "production", {"config": {"routes": {"verify": ["trial"]}, "providers": {"trial": {"kind": "sandbox"}}}}),
            ("no key of config.providers", "production", {"config": {"routes": {"verify": ["nobody"]}}}),
            ("fewer than two replicas", "default", {"podDisruptionBudget": {"enabled": True}}),
            ("fewer than two replicas", "production", {"autoscaling": {"minReplicas": 1}}),
            ("not both", "production", {"podDisruptionBudget": {"minAvailable": 1}}),
            ("is above", "production", {"autoscaling": {"minReplicas": 11}}),
            ("is below the 10 replicas", "production", {"config": {"server": {"replicas": 3}}}),
            ("loopback", "default", {"config": {"server": {"listen": "127.0.0.1:50051"}}}),
            ("1024 or above", "default", {"config": {"server": {"admin_listen": "0.0.0.0:80"}}}),
            ("different ports", "default", {"config": {"server": {"admin_listen": "0.0.0.0:50051"}}}),
            ("choose one", "production", {"tls": {"existingSecret": "x"}}),
            ("issuerRef.name", "default", {"certificate": {"enabled": True}}),
            ("would be plaintext", "production", {"certificate": {"enabled": False}}),
            ("who may call", "production", {"config": {"auth": {"mode": "none"}}}),
            ("no authority of client certificates", "production", {"config": {"auth": {"mode": "mtls"}}}),
            ("nobody could call", "production", {"config": {"clients": None}}),
            ("needs config.cache.key", "production", {"config": {"cache": {"key": None}}}),
            ("parentRefs", "default", {"grpcRoute": {"enabled": True}}),
            ("exactly one of", "default", {"secrets": {"x": {}}}),
            ("no key of secrets", "production", {"secrets": {"redis": None}}),
            ("no key of secrets", "default", {"config": {"admin": {"token": {"file": "/run/secrets/cardproof/admin/token"}}}}),
        ):
            with self.subTest(text=text, values=values):
                self.refused(text, values, case)

    def test_an_older_kubernetes(self):
        done = template("default", kubernetes="1.28.0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("kubeVersion", done.stderr)

    def test_notes(self):
        # Helm shows the notes only where it reaches a cluster, so a copy of the chart has them as an object
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "cardproof")
            shutil.copytree(CHART, copy)
            text = (copy / "templates/NOTES.txt").read_text(encoding="utf-8")
            (copy / "templates/_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}", encoding="utf-8")
            (copy / "templates/notes.yaml").write_text(
                'apiVersion: v1\nkind: Notes\nmetadata: {name: notes}\ntext: {{ include "notes" . | toJson }}\n',
                encoding="utf-8")

            def notes(case, values=None):
                files = [part for name in CASES[case] for part in ("--values", name)]
                done = helm("template", "cardproof", copy, "--namespace", "cardproof", "--kube-version",
                            VERSIONS["newest"], "--show-only", "templates/notes.yaml", *files, values=values)
                self.assertEqual(done.returncode, 0, done.stderr)
                return yaml.safe_load(done.stdout)["text"]

            self.check_notes(notes)

    def check_notes(self, notes):
        self.assertIn("3 replicas without Redis", notes("default", {"replicaCount": 3}))
        self.assertNotIn("without Redis", notes("default"))
        self.assertNotIn("WARNING", notes("production"))
        self.assertIn("grpcurl -plaintext", notes("default"))
        self.assertIn("bankcard.v1.BankCardService/QueryCardInfo", notes("production"))


if __name__ == "__main__":
    unittest.main()
