#!/usr/bin/env bash
# The Helm chart on a real Kubernetes API server, its pods run as the API says by the real binary.
# The first run builds the API server from its source, which takes minutes.
set -euo pipefail
binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
[[ "$(id -u)" == 0 ]] || { echo "cluster: the sandboxes need root for their namespaces" >&2; exit 1; }
CARDPROOF_BIN="$(realpath "$binary")"
KUBE_APISERVER="$(scripts/tool kubernetes)"
ETCD="$(scripts/tool etcd)"
REDIS_SERVER="$(scripts/tool redis-server)"
HELM="$(scripts/tool helm)"
HEALTH_PROBE="$(scripts/tool grpc-health-probe)"
GRPCURL="$(scripts/tool grpcurl)"
export GRPCURL CARDPROOF_BIN KUBE_APISERVER ETCD REDIS_SERVER HELM HEALTH_PROBE
# checkov's environment brings the YAML reader
exec "$(dirname "$(scripts/tool checkov)")/python" -B -m unittest discover --start-directory tests/cluster --pattern 'test_*.py'
