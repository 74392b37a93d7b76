#!/usr/bin/env bash
# Opens the official MCP Inspector on this machine's gateway. Where none runs, one is started for as long as the
# Inspector is open. Arguments go to `archon inspect`: scripts/launch-inspector.sh --cli -- --method tools/list
#
# Needs Node 22.19 or later. ARCHON_BIN names the gateway's program; else it is built.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if [[ -z ${ARCHON_BIN:-} ]]; then
  cargo build --manifest-path "$root/Cargo.toml" --release --locked --quiet -p archon-server
  ARCHON_BIN=${CARGO_TARGET_DIR:-$root/target}/release/archon
fi

# What the tests have installed need not be fetched.
if [[ -z ${ARCHON_INSPECTOR:-} && -x $root/.tools/bin/mcp-inspector ]]; then
  export ARCHON_INSPECTOR=$root/.tools/bin/mcp-inspector
fi

# The endpoint as it is configured here: the last word of the command that opens the Inspector on it.
command=$("$ARCHON_BIN" client-config inspector 2>/dev/null)
endpoint=${command##* }
health=${endpoint%/mcp*}/health

if ! curl --silent --output /dev/null --max-time 5 "$health"; then
  log=$(mktemp --suffix=.archon.log)
  "$ARCHON_BIN" serve >"$log" 2>&1 &
  gateway=$!
  trap 'kill "$gateway" 2>/dev/null; wait "$gateway" || true; rm -f "$log"' EXIT
  until curl --silent --output /dev/null --max-time 5 "$health"; do
    kill -0 "$gateway" 2>/dev/null || {
      cat "$log" >&2
      exit 1
    }
    sleep 0.2
  done
fi

"$ARCHON_BIN" inspect "$@"
