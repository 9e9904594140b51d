#!/usr/bin/env bash
# Licences and banned crates, by the rules of deny.toml. cargo-deny is built once if it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${WHARF_TEST_TOOLS:-target/tools}
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
    deny=$tools/deny/bin/cargo-deny
    [ -x "$deny" ] || cargo install --quiet --debug --locked --root "$tools/deny" \
        --target-dir "$tools/deny-build" --target "$(rustc -vV | sed -n 's/^host: //p')" cargo-deny
fi
"$deny" --log-level warn check bans licenses sources
