#!/usr/bin/env bash
# Alert rules and dashboard, with Prometheus itself.
set -euo pipefail
PROMTOOL="$(scripts/tool promtool)"
export PROMTOOL
# checkov's environment brings the YAML reader
exec "$(dirname "$(scripts/tool checkov)")/python" -B -m unittest discover --start-directory tests/monitoring --pattern 'test_*.py'
