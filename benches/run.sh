#!/usr/bin/env bash
# `make bench`: everything in one run, beside the peers found on this machine and the kernel's floor.
#
# Peers: docker (a dockerd found on PATH or in $BENCH_PEERS, a chroot of a newer Debian), podman, crun, runc.
# Without them only Wharf and the floors are measured. Everything runs in namespaces of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${WHARF_BIN:?set WHARF_BIN to the release binary, or run: make bench}"
cargo build -q --release -p wharf-benches
target=${CARGO_TARGET_DIR:-target}/$(sed -n 's/^target = "\(.*\)"/\1/p' .cargo/config.toml)/release
export WHARF_FLOOR=$(realpath "$target/floor") WHARF_BIN=$(realpath "$WHARF_BIN")
exec unshare --mount --net --propagation private python3 benches/bench.py "$@"
