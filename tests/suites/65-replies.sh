#!/usr/bin/env bash
# A million random and mutated replies per vendor through the decoders (tests/replies/), and
# 50,000 inputs through every other parser, a tenth through slow ones (tests/parsers/).
set -euo pipefail
CARDPROOF_REPLIES="${CARDPROOF_REPLIES:-1000000}" cargo test --locked --test replies -- --nocapture
CARDPROOF_INPUTS="${CARDPROOF_INPUTS:-50000}" exec cargo test --locked --test parsers -- --nocapture
