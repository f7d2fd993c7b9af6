#!/usr/bin/env bash
# The binary as it is shipped; the suites after this one run it.
set -euo pipefail
exec cargo build --release --locked
