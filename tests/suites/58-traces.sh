#!/usr/bin/env bash
# Traces and metrics over OTLP, received by OpenTelemetry's own messages in Python (tests/traces/).
# CARDPROOF_BIN and EMULATOR_BIN name other binaries to use; CARDPROOF_WRITE_DOCS=1 writes the trace
# that docs/TRACING.md shows.
set -euo pipefail
python="$(scripts/tool otlp-python)"
GRPCURL="$(scripts/tool grpcurl)"
target="${CARGO_TARGET_DIR:-target}"
if [[ -z "${CARDPROOF_BIN:-}" ]]; then
    CARDPROOF_BIN="$target/release/cardproof"
    [[ -x "$CARDPROOF_BIN" ]] || cargo build --release --locked
fi
if [[ -z "${EMULATOR_BIN:-}" ]]; then
    cargo build --quiet --locked -p cardproof-emulator
    EMULATOR_BIN="$target/debug/cardproof-emulator"
fi
CARDPROOF_BIN="$(realpath "$CARDPROOF_BIN")"
EMULATOR_BIN="$(realpath "$EMULATOR_BIN")"
export CARDPROOF_BIN EMULATOR_BIN GRPCURL
exec "$python" -B -m unittest discover --start-directory tests/traces --pattern 'test_*.py' "$@"
