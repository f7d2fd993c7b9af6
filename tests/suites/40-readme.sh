#!/usr/bin/env bash
# The sessions that README.md shows, typed word for word against the release binary.
set -euo pipefail
# a checker that cannot fail would prove nothing: first it is shown wrong sessions
python3 tests/readme/selftest.py
grpcurl="$(scripts/tool grpcurl)"
PATH="$(dirname "$grpcurl"):$PATH" exec python3 tests/readme/check.py README.md
