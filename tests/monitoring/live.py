"""A running service before vendors of which some fail, and a Prometheus that watches it.

Used by the test of the dashboard's queries and by tools/dashboard/picture.py.
"""

import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from own_redis import Redis  # noqa: E402  (the folder must be known first)
from serving import free_ports  # noqa: E402

RULES = ROOT / "helm/cardproof/files/rules.yaml"
START_LIMIT_S = 60
PERSON = {"name": "张三", "id_number": "11010519491231002X", "phone": "13800138000"}
CONFIGURATION = """
mode = "production"
server.listen = "127.0.0.1:{grpc}"
server.admin_listen = "127.0.0.1:{admin}"
server.tls = {{ cert_file = "{folder}/tls.crt", key_file = "{folder}/tls.key" }}
auth = {{ mode = "token" }}
routes = {{ verify = ["tencent", "alibaba", "ace"], card_info = ["bin", "tencent"] }}
breaker = {{ min_calls = 4, window_s = 5, open_s = {open_s} }}
cache = {{ key = {{ env = "CACHE_KEY" }}, redis = {{ url = {{ env = "REDIS_URL" }}, timeout_ms = 500 }} }}
telemetry = {{ log_format = "json", ledger_file = "{folder}/ledger-{admin}.jsonl" }}
[clients.checkout]
token_sha256 = ["{checkout}"]
daily_budget = {{ currency = "CNY", amount = {budget} }}
[clients.onboarding]
token_sha256 = ["{onboarding}"]
[providers.tencent]
kind = "tencent"
endpoint = "{emulator}"
secret_id = {{ env = "TENCENT_ID" }}
secret_key = {{ env = "TENCENT_KEY" }}
price = {{ currency = "CNY", two = 0.2, three = 0.35, four = 0.5, card_info = 0.1 }}
daily_budget = {{ currency = "CNY", amount = {budget} }}
[providers.alibaba]
kind = "alibaba"
endpoint = "{emulator}"
product = "intl"
access_key_id = {{ env = "ALIBABA_ID" }}
access_key_secret = {{ env = "ALIBABA_SECRET" }}
price = {{ currency = "CNY", two = 0.25, three = 0.4, four = 0.55 }}
[providers.ace]
kind = "ace"
endpoint = "{emulator}"
token = {{ env = "ACE_TOKEN" }}
price = {{ currency = "CNY", two = 0.15, three = 0.3, four = 0.4 }}
"""
# public: they stand in the emulator's own documentation
CREDENTIALS = {"TENCENT_ID": "AKIDEMULATOR", "TENCENT_KEY": "emulator-tencent-secret", "ALIBABA_ID": "LTAIEMULATOR",
               "ALIBABA_SECRET": "emulator-alibaba-secret", "ACE_TOKEN": "emulator-ace-token",
               "CACHE_KEY": hashlib.sha256(b"monitoring").hexdigest()}


def http(url, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return reply.read().decode()


class Live:
    """The programs, in a folder that the caller removes; `stop` ends them."""

    def __init__(self, folder, replicas=1, interval="1s", budget=30, open_s=1):
        self.folder, self.programs = pathlib.Path(folder), []
        emulator, prometheus, redis, *ports = free_ports(3 + 2 * replicas)
        self.emulator, self.prometheus = f"http://127.0.0.1:{emulator}", f"http://127.0.0.1:{prometheus}"
        self.replicas = list(zip(ports[::2], ports[1::2]))
        for name in ("checkout", "onboarding"):
            (self.folder / name).write_text(f"token-of-{name}", encoding="utf-8")
            (self.folder / name).chmod(0o600)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / "tls.key",
                        "-out", self.folder / "tls.crt", "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
        (self.folder / "redis").mkdir()
        self.redis = Redis(self.folder / "redis", os.environ["REDIS_SERVER"], redis)
        self.start(os.environ["CARDPROOF_EMULATOR"], "--listen", f"127.0.0.1:{emulator}", "--quiet")
        for grpc, admin in self.replicas:
            tokens = {name: hashlib.sha256(f"token-of-{name}".encode()).hexdigest() for name in ("checkout", "onboarding")}
            settings = self.folder / f"cardproof-{admin}.toml"
            settings.write_text(CONFIGURATION.format(grpc=grpc, admin=admin, folder=self.folder, emulator=self.emulator, budget=budget,
                                                     open_s=open_s, **tokens),
                                encoding="utf-8")
            self.start(os.environ["CARDPROOF_BIN"], "--config", settings)
        targets = ", ".join(f'"127.0.0.1:{admin}"' for _, admin in self.replicas)
        (self.folder / "prometheus.yaml").write_text(
            f"global: {{ scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval} }}\n"
            f'rule_files: ["{RULES}"]\n'
            f"scrape_configs: [{{ job_name: cardproof, static_configs: [{{ targets: [{targets}] }}] }}]\n", encoding="utf-8")
        self.start(os.environ["PROMETHEUS"], f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/series",
                   f"--web.listen-address=127.0.0.1:{prometheus}", "--log.level=warn")
        waiting = [f"{self.emulator}/_control/health", f"{self.prometheus}/-/ready"]
        for url in waiting + [f"http://127.0.0.1:{admin}/readyz" for _, admin in self.replicas]:
            self.wait_for(url)
        self.wait_for_scrapes()

    def start(self, program, *arguments):
        name = f"{pathlib.Path(program).name}-{len(self.programs)}.log"
        with (self.folder / name).open("wb") as log:
            self.programs.append(subprocess.Popen([str(part) for part in (program, *arguments)], env=os.environ | CREDENTIALS | {"REDIS_URL": self.redis.url()},
                                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def wait_for(self, url):
        until = time.monotonic() + START_LIMIT_S
        while True:
            try:
                return http(url)
            except OSError as error:
                dead = [program.args[0] for program in self.programs if program.poll() is not None]
                if dead or time.monotonic() > until:
                    self.stop()
                    logs = "\n".join(log.read_text(errors="replace")[-2000:] for log in self.folder.glob("*.log"))
                    raise RuntimeError(f"{url} does not answer ({error}); ended: {dead}\n{logs}") from None
            time.sleep(0.1)

    def wait_for_scrapes(self):
        """Until Prometheus has seen every replica. It begins some seconds after it says that it is ready,
        and what a counter holds at its first scrape is no increase to any rule: it would be lost."""
        until = time.monotonic() + START_LIMIT_S
        while sum(series["value"][1] == "1" for series in self.query("query", query='up{job="cardproof"}')["result"]) < len(self.replicas):
            if time.monotonic() > until:
                self.stop()
                raise RuntimeError("Prometheus has not scraped every replica")
            time.sleep(0.1)

    def script(self, **script):
        """What a vendor does with its next calls; see the emulator's README."""
        http(f"{self.emulator}/_control/scripts", script)

    def unscript(self):
        http(f"{self.emulator}/_control/scripts", method="DELETE")

    def ask(self, card, *arguments, person=None, caller="checkout", command="verify"):
        """One question, by the program's own client; returns the client's exit code."""
        question = {"bank_card": card, **(PERSON if person is None else person)} if command == "verify" else {"bank_card": card}
        grpc, _ = random.choice(self.replicas)
        done = subprocess.run([os.environ["CARDPROOF_BIN"], command, "--addr", f"https://127.0.0.1:{grpc}", "--ca", self.folder / "tls.crt",
                               "--token-file", self.folder / caller, *arguments, "--json"], input=json.dumps(question),
                              capture_output=True, text=True, check=False)
        return done

    def query(self, kind, **arguments):
        """One question to Prometheus; an error of it is raised with its words."""
        try:
            answer = json.loads(http(f"{self.prometheus}/api/v1/{kind}?{urllib.parse.urlencode(arguments, doseq=True)}"))
        except urllib.error.HTTPError as error:
            raise ValueError(f"{arguments}: {error.read().decode()}") from None
        return answer["data"]

    def metrics(self):
        return http(f"http://127.0.0.1:{self.replicas[0][1]}/metrics")

    def stop(self):
        self.redis.stop()
        for program in reversed(self.programs):
            program.terminate()
        for program in self.programs:
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def filled(expression, window):
    """A query of the dashboard with its variables filled in, as Grafana does for "All"."""
    for name, value in {"$job": ".*", "$namespace": ".*", "$instance": ".*", "$__rate_interval": window}.items():
        expression = expression.replace(name, value)
    return expression
