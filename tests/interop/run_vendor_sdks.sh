#!/usr/bin/env bash
# The vendors' official Python SDKs against the emulator. Environments are kept in .tools/ and
# made anew when their requirements change. Needs python3 with venv, openssl and cargo.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in python3 openssl cargo; do
    command -v "$tool" >/dev/null || { echo "run_vendor_sdks: $tool is missing" >&2; exit 2; }
done

# Makes or reuses a virtual environment; $1 its name, $2 its requirements.
environment() {
    local directory=".tools/$1" wanted
    wanted="$(sha256sum <"$2")"
    if [[ "$(cat "$directory/requirements.sha256" 2>/dev/null)" != "$wanted" ]]; then
        echo "making $directory" >&2
        rm -rf "$directory"
        python3 -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check -r "$2"
        echo "$wanted" >"$directory/requirements.sha256"
    fi
}
mkdir -p .tools
environment venv-sdks tests/interop/requirements.txt
environment venv-sdks-intl tests/interop/requirements-intl.txt

# A binary may be given to save the build.
binary="${EMULATOR:-}"
if [[ -z "$binary" ]]; then
    cargo build --quiet -p cardproof-emulator
    binary="${CARGO_TARGET_DIR:-target}/debug/cardproof-emulator"
fi

work="$(mktemp -d)"
emulators=()
cleanup() {
    for pid in "${emulators[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

# A certificate authority for this run alone, and a certificate for the loopback address.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=emulator test authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
    -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" \
    -keyout "$work/server.key" -out "$work/server.csr" 2>/dev/null
openssl x509 -req -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
    -CAcreateserial -days 2 -out "$work/server.pem" \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid') 2>/dev/null

# Starts an emulator on a free port; $1 a file for its output, the rest further arguments.
start() {
    local output="$1"
    shift
    "$binary" --listen 127.0.0.1:0 --quiet "$@" >"$output" &
    emulators+=($!)
    for _ in $(seq 100); do
        grep -q '^listening on ' "$output" && return
        sleep 0.05
    done
    echo "run_vendor_sdks: the emulator did not start" >&2
    exit 1
}
start "$work/plain"
start "$work/secure" --tls-cert "$work/server.pem" --tls-key "$work/server.key"
plain="$(sed -n 's/^listening on //p' "$work/plain")"
secure="$(sed -n 's/^listening on //p' "$work/secure")"

# Proxies of the environment would carry loopback calls elsewhere.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
passed=0 failed=0
for suite in mainland international; do
    case "$suite" in
    mainland) python=.tools/venv-sdks/bin/python ;;
    international) python=.tools/venv-sdks-intl/bin/python ;;
    esac
    "$python" tests/interop/vendor_sdks.py "$suite" --http "$plain" --https "$secure" \
        --ca "$work/ca.pem" --results "$work/results" || true
    # A suite that stopped before its end has written nothing.
    read -r suite_passed suite_failed <"$work/results" || { suite_passed=0 suite_failed=1; }
    rm -f "$work/results"
    passed=$((passed + suite_passed)) failed=$((failed + suite_failed))
done
echo "$passed passed, $failed failed"
[[ "$failed" -eq 0 && "$passed" -gt 0 ]]
