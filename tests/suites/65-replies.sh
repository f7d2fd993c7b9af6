#!/usr/bin/env bash
# A million random and mutated replies per vendor through the decoders (tests/replies/).
set -euo pipefail
CARDPROOF_REPLIES="${CARDPROOF_REPLIES:-1000000}" exec cargo test --locked --test replies -- --nocapture
