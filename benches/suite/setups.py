"""The configurations that are measured, and the peers."""

import contextlib
import hashlib
import os
import shutil
import subprocess

from machine import ROOT, NotMeasured, cardproof, emulator, load, peer, tool

BUILT = ROOT / "target/release"
STOCK = ROOT / "target/stock"
PEERS = ROOT / "target/peers"
TOKEN = "a-token-of-the-benchmark-with-enough-characters"
ACE_TOKEN = "emulator-ace-token"
# what a production service has: callers by token, each with a limit, problems logged
FULL = f"""
[server]
listen = "{{listen}}"
admin_listen = "{{admin_listen}}"
[auth]
mode = "token"
[clients.checkout]
token_sha256 = ["{hashlib.sha256(TOKEN.encode()).hexdigest()}"]
requests_per_second = 1000000
concurrent = 100000
[routes]
verify = ["ace"]
card_info = ["bin"]
[providers.bin]
kind = "bin"
[providers.ace]
kind = "ace"
endpoint = "EMULATOR"
token = {{{{ env = "BENCH_TOKEN" }}}}
concurrent = 1024
[telemetry]
log_requests = "problems"
"""
# the sampler of production; nobody listens at the endpoint unless a benchmark says so
TRACING = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}


@contextlib.contextmanager
def service(folder):
    """The full stack, with one verification and one card in its memory, and samples of both."""
    environment = {"BENCH_TOKEN": ACE_TOKEN} | TRACING
    with emulator(folder) as vendor, cardproof(FULL.replace("EMULATOR", vendor.url), folder, environment=environment) as process:
        process.token = TOKEN
        for _ in range(2):
            load("sample", process, "--token", TOKEN, "--connections", 1, "--out", folder)
        load("sample", process, "--token", TOKEN, "--connections", 1, "--kind", "card-info", "--out", folder)
        yield process


def run(command, folder, may_fail=False, **more):
    """A step that must succeed; what it prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0 and not may_fail:
        raise NotMeasured(f"{' '.join(map(str, command))} in {folder}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def build_ours():
    """The servers of this repository. What the release build is, is the user's to say: cargo build."""
    run(["cargo", "build", "--release", "--locked", "--workspace", "--bins"], ROOT)
    run(["cargo", "build", "--profile", "stock", "--locked", "--package", "cardproof-rig", "--bin", "echo-stock"], ROOT)


def build_peers():
    """The servers in other languages, each with its own tools."""
    for name, step in (("go", build_go), ("java", build_java), ("python", build_python)):
        sources = ROOT / "benches/peers" / name
        wanted = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(sources.rglob("*")) if file.is_file())).hexdigest()
        stamp = PEERS / name / "built-from"
        if stamp.is_file() and stamp.read_text() == wanted:
            continue
        # three folders deep, as in the repository, so that what they say about proto/ holds
        shutil.rmtree(PEERS / name, ignore_errors=True)
        shutil.copytree(sources, PEERS / name)
        step(PEERS / name)
        stamp.write_text(wanted)


def build_sdk():
    """The vendor's SDK in an environment of its own; the Python that has it."""
    folder, wanted = PEERS / "sdk", ROOT / "benches/peers/sdk/requirements.txt"
    python = folder / ".venv/bin/python"
    if not python.is_file() or not (folder / wanted.name).is_file() or (folder / wanted.name).read_bytes() != wanted.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run(["python3", "-m", "venv", ".venv"], folder)
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted], folder)
        shutil.copy(wanted, folder)
    return python


def build_go(folder):
    environment = {**os.environ, "GOBIN": str(folder / "bin"), "GOFLAGS": "-mod=mod"}
    run(["go", "install", "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12"], folder, env=environment)
    run(["go", "install", "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2"], folder, env=environment)
    run([tool("buf"), "generate", "--template", "buf.gen.yaml"], folder)
    run(["go", "build", "-o", "bin/echo", "."], folder, env=environment)


def build_java(folder):
    run(["mvn", "--batch-mode", "--quiet", "process-classes"], folder)


def build_python(folder):
    run(["python3", "-m", "venv", ".venv"], folder)
    run([".venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"], folder)
    (folder / "generated").mkdir()
    files = sorted(str(file) for file in (ROOT / "proto/bankcard/v1").glob("*.proto"))
    options = ["-I", str(ROOT / "proto"), "--python_out=generated", "--grpc_python_out=generated"]
    run([".venv/bin/python", "-m", "grpc_tools.protoc", *options, *files], folder)


def echo(kind, answers):
    """A server that does nothing, by its name in the report."""
    listen = ["--listen", "127.0.0.1:{port}", "--answers", answers]
    java = PEERS / "java/target"
    commands = {
        "tonic, tuned": [BUILT / "echo", "tonic", *listen],
        "hyper, tuned": [BUILT / "echo", "hyper", *listen],
        "tonic, stock": [STOCK / "echo-stock", *listen],
        "grpc-go": [PEERS / "go/bin/echo", *listen],
        "grpc-java": ["java", "-XX:+UseSerialGC", "-Xms256m", "-Xmx256m", "-cp", f"{java}/classes:{java}/lib/*", "io.cardproof.bench.Echo", "{port}", answers],
        "grpcio (Python)": [PEERS / "python/.venv/bin/python", PEERS / "python/echo.py", "{port}", answers],
    }
    environment = {"PYTHONPATH": str(PEERS / "python/generated")} if "Python" in kind else None
    return peer(kind, commands[kind], environment)
