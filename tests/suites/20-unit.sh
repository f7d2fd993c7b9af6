#!/usr/bin/env bash
# The tests that need Rust alone: what a plain `cargo test` runs.
set -euo pipefail
exec cargo test --workspace --locked --no-fail-fast
