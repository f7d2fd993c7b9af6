#!/usr/bin/env bash
# The release binary attacked, filled and restarted by peers that are not its own stack, on loopback
# (tests/abuse/). docs/RELIABILITY.md has the figures. CARDPROOF_BIN names another binary;
# CARDPROOF_ABUSE_SECONDS is how long each attack goes on.
set -euo pipefail
command -v openssl >/dev/null || { echo "abuse: openssl is missing: apt-get install -y openssl" >&2; exit 1; }

binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    [[ -z "${CARDPROOF_BIN:-}" ]] || { echo "CARDPROOF_BIN is no program: $binary" >&2; exit 1; }
    cargo build --release --locked
fi
emulator="${EMULATOR_BIN:-${CARGO_TARGET_DIR:-target}/debug/cardproof-emulator}"
if [[ -z "${EMULATOR_BIN:-}" ]]; then
    cargo build --quiet --locked --package cardproof-emulator
fi
h2spec="$(scripts/tool h2spec)"
h2load="$(scripts/tool h2load)"

# made anew when the requirements change
environment=.tools/venv-abuse
wanted="$(sha256sum <tests/abuse/requirements.txt)"
if [[ "$(cat "$environment/requirements.sha256" 2>/dev/null)" != "$wanted" ]]; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r tests/abuse/requirements.txt
    echo "$wanted" >"$environment/requirements.sha256"
fi
python="$environment/bin/python"

passed=0 failed=0
# proof NAME ARGUMENT…
proof() {
    if "$python" -B "tests/abuse/$1" --binary "$binary" "${@:2}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "abuse: $* failed" >&2
    fi
}
# mostly waits, in a network of its own: beside the others
said="$(mktemp)"
trap 'rm -f "$said"' EXIT
"$python" -B tests/abuse/vanish.py --binary "$binary" >"$said" 2>&1 &
vanishing=$!

proof conformance.py --h2spec "$h2spec"
proof run.py --h2load "$h2load" --seconds "${CARDPROOF_ABUSE_SECONDS:-2}"
proof run.py --tls --h2load "$h2load" --seconds "${CARDPROOF_ABUSE_SECONDS:-2}"
proof held.py idle --h2load "$h2load"
proof overload.py --emulator "$emulator"
proof restart.py
proof addresses.py
if wait "$vanishing"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "abuse: vanish.py failed" >&2
fi
cat "$said"
echo "$passed passed, $failed failed"
[[ "$failed" -eq 0 ]]
