#!/usr/bin/env bash
# The status page of a running service with failing vendors, as headless Chromium shows it
# (tests/status_page/).
set -euo pipefail
chromium="$(scripts/tool chromium)"
redis="$(scripts/tool redis-server)"
target="${CARGO_TARGET_DIR:-target}"
binary="${CARDPROOF_BIN:-$target/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
cargo build --locked --quiet --package cardproof-emulator
exec node --experimental-websocket --no-warnings tests/status_page/run.mjs \
    "$binary" "$target/debug/cardproof-emulator" "$chromium" "$redis" "$@"
