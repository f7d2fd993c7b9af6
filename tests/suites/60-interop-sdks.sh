#!/usr/bin/env bash
# The vendors' own SDKs against this project's emulator.
set -euo pipefail
exec bash tests/interop/run_vendor_sdks.sh
