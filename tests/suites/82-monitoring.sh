#!/usr/bin/env bash
# Alert rules and dashboard, with Prometheus itself: the rules on made-up series, then every query on
# a running service before vendors that fail.
set -euo pipefail
binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
CARDPROOF_BIN="$(realpath "$binary")"
cargo build --locked --quiet --package cardproof-emulator
CARDPROOF_EMULATOR="$(realpath "${CARGO_TARGET_DIR:-target}/debug/cardproof-emulator")"
PROMTOOL="$(scripts/tool promtool)"
PROMETHEUS="$(scripts/tool prometheus)"
REDIS_SERVER="$(scripts/tool redis-server)"
export CARDPROOF_BIN CARDPROOF_EMULATOR PROMTOOL PROMETHEUS REDIS_SERVER
# checkov's environment brings the YAML reader
exec "$(dirname "$(scripts/tool checkov)")/python" -B -m unittest discover --start-directory tests/monitoring --pattern 'test_*.py'
