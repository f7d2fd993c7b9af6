#!/usr/bin/env bash
# The store that replicas share, over a real Redis (tests/redis/).
set -euo pipefail
scripts/tool redis-server >/dev/null
exec cargo test --locked --features outside-tests --test redis
