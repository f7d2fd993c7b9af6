#!/usr/bin/env bash
# Rust tests that drive the service with programs of other makers (tests/outside/).
set -euo pipefail
for tool in grpcurl; do
    scripts/tool "$tool" >/dev/null
done
exec cargo test --locked --features outside-tests --test outside
