#!/usr/bin/env bash
# Rust tests that drive the service with programs of other makers (tests/outside/).
set -euo pipefail
# installed before, so that a test's time is its own; a test asks for its tool by name
tools=(grpcurl)
for tool in "${tools[@]}"; do
    scripts/tool "$tool" >/dev/null
done
exec cargo test --locked --features outside-tests --test outside
