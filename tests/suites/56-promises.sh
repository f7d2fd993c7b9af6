#!/usr/bin/env bash
# The promises about money and cards on real binaries, with the emulator's ledger as the judge
# (tests/promises/).
set -euo pipefail
# installed before, so that a test's time is its own; a test asks for its tool by name
for tool in faketime redis-server; do
    scripts/tool "$tool" >/dev/null
done
binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
CARDPROOF_BIN="$(realpath "$binary")"
export CARDPROOF_BIN
# one after the other: each starts several programs, and what they print belongs together
exec cargo test --locked --features outside-tests --test promises -- --nocapture --test-threads 1
