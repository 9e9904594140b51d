#!/bin/sh
# Builds and runs fuzz targets one after the other: fuzz/run.sh [SECONDS] [TARGET…]
# All targets, 60 seconds each, if not said otherwise. Ends with an error at the first crash, whose
# input is then in fuzz/artifacts/.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list --fuzz-dir .)
for target; do
    features=
    seeds="seeds/$target"
    case $target in
    engine_api) features="--features engine-api" ;;
    layer_import) seeds="$seeds seeds/tar_reader" ;;
    esac
    mkdir -p "corpus/$target"
    echo "== $target"
    # No sanitizer: outside wharf-sys the code is safe Rust, and it runs three times as fast.
    cargo +nightly fuzz run --fuzz-dir . -s "${SANITIZER:-none}" $features "$target" \
        "corpus/$target" $seeds -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=16384 -print_final_stats=1
done
