#!/usr/bin/env bash
# The Helm chart, with Helm, kubeconform, checkov, the makers' own schemas and the real binary.
set -euo pipefail
HELM="$(scripts/tool helm)"
KUBECONFORM="$(scripts/tool kubeconform)"
CHECKOV="$(scripts/tool checkov)"
SCHEMAS="$(dirname "$(scripts/tool kubernetes-schemas)")"
HEALTH_PROBE="$(scripts/tool grpc-health-probe)"
PROMTOOL="$(scripts/tool promtool)"
binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
CARDPROOF_BIN="$(realpath "$binary")"
export HELM KUBECONFORM PROMTOOL CHECKOV SCHEMAS HEALTH_PROBE CARDPROOF_BIN
# checkov's environment brings the YAML reader
exec "$(dirname "$CHECKOV")/python" -B -m unittest discover --start-directory tests/helm --pattern 'test_*.py'
