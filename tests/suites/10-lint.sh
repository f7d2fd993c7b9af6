#!/usr/bin/env bash
# Everything that can be said about the sources without running them.
set -euo pipefail
exec scripts/lint
