#!/usr/bin/env bash
# `cardproof verify-file` over 100,000 rows, ended by force several times: nothing is paid for
# twice, left out or answered twice. CARDPROOF_BIN names another binary to use.
set -euo pipefail
binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
cargo build --quiet --locked --package cardproof-emulator
exec python3 tests/verify_file/check.py "$binary" "${CARGO_TARGET_DIR:-target}/debug/cardproof-emulator"
