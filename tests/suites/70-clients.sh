#!/usr/bin/env bash
# The examples, each followed word for word by its README against the release binary, and what
# docs/CLIENTS.md says about the service config. CARDPROOF_BIN names another binary to use.
set -euo pipefail
for command in cargo go java mvn npm node python3; do
    command -v "$command" >/dev/null || { echo "$command is missing; run scripts/prerequisites" >&2; exit 1; }
done

binary="${CARDPROOF_BIN:-target/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    [[ -z "${CARDPROOF_BIN:-}" ]] || { echo "CARDPROOF_BIN is no program: $binary" >&2; exit 1; }
    cargo build --release --locked
fi
binary="$(realpath "$binary")"
grpcurl="$(scripts/tool grpcurl)"
scripts/tool buf >/dev/null
export PATH="${binary%/*}:${grpcurl%/*}:$PATH"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# the copy in the documentation is the file that the examples use
python3 - <<'PYTHON'
import json, pathlib, re
shown = re.findall(r"```json\n(.*?)```", pathlib.Path("docs/CLIENTS.md").read_text(encoding="utf-8"), re.S)
used = json.loads(pathlib.Path("examples/service-config.json").read_text(encoding="utf-8"))
assert used["methodConfig"] and len(shown) == 1, "wanted one block of json in docs/CLIENTS.md"
assert json.loads(shown[0]) == used, "docs/CLIENTS.md shows another service config than examples/service-config.json"
PYTHON

# the Python example comes first: the recorder runs on its packages and stubs
python="$work/copy/examples/python"
failed=()
follow() { python3 tests/clients/follow.py "examples/$1/README.md" "${@:2}" || failed+=("$1"); }
follow python --copy "$work/copy"
for name in python go java node; do
    follow "$name" --recorder "$python/.venv/bin/python" "$python/generated"
done
follow provider-python

if [[ ${#failed[@]} -gt 0 ]]; then
    echo "examples that failed: ${failed[*]}" >&2
    exit 1
fi
