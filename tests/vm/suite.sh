#!/usr/bin/env bash
# The tests that depend on the kernel, on another kernel: `make test-vm`.
#
#   tests/vm/suite.sh SUITE [PART...] [-- PATTERN]
#
# SUITE: bookworm (6.1: layers are directories) or trixie (6.12: layers are indexed).
# PART: runtime, store, images, engine (the tests of those crates) or box (the black-box suite, with
# the docker CLI of this machine); all of them if none is named. PATTERN: an extended regular
# expression; tests whose names match run.
#
# Everything is built here and run there, one process and one deadline per test (each.sh). The exit
# code is 0 only if some test ran and none failed. Environment:
#   WHARF_VM_CGROUP         v2 (default), v1 or hybrid: the hierarchies that the VM mounts
#   WHARF_VM_TEST_SECONDS   deadline of one test (900)
#   WHARF_VM_SECONDS        deadline of the whole VM (14400)
#   WHARF_VM_JOBS           tests at a time (2)
#   WHARF_TEST_SLOWNESS     factor on what the tests themselves wait for at most (10)
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${1:?"a suite: bookworm or trixie"}
shift
parts=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    parts+=("$1")
    shift
done
pattern=${2:-.}
[ ${#parts[@]} -gt 0 ] || parts=(runtime store images engine box)
packages=()
for part in "${parts[@]}"; do
    case $part in
    box) packages+=(-p wharf-tests) ;;
    runtime | store | images | engine) packages+=(-p "wharf-$part") ;;
    *) echo "no such part: $part" >&2 && exit 64 ;;
    esac
done

tests/setup.sh
export PATH="$PATH:$PWD/target/tools/bin"
target=${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
cargo build -p wharf --target "$target"
built=${CARGO_TARGET_DIR:-$PWD/target}/$target/debug

# What the VM runs, without the debug information it would have to read, and laid out as in the
# target directory, since tests find other programs beside their own. Not below /var/tmp, of which
# the VM has its own.
mkdir -p target/vm
stage=$(mktemp -d "$PWD/target/vm/$suite.XXXXXX")
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/deps" "$stage/examples"
strip -o "$stage/wharf" "$built/wharf"
export WHARF_BIN=$stage/wharf
# Kind, directory of the package, and program, one of each a line. The architecture and the documents
# are the same on any kernel.
cargo test -q --no-run "${packages[@]}" --target "$target" --message-format=json |
    python3 -c '
import json, os, sys
for line in sys.stdin:
    unit = json.loads(line)
    if unit.get("reason") != "compiler-artifact" or not unit.get("executable"):
        continue
    kind = unit["target"]["kind"][0]
    if kind == "example" or unit["profile"]["test"] and unit["target"]["name"] not in ("architecture", "compatibility"):
        print(kind, os.path.dirname(unit["manifest_path"]), unit["executable"], sep="\t")
' >"$stage/built"
while IFS=$'\t' read -r kind directory program; do
    if [ "$kind" = example ]; then
        strip -o "$stage/examples/$(basename "$program")" "$program"
    else
        strip -o "$stage/deps/$(basename "$program")" "$program"
        printf '%s\t%s\n' "$directory" "$stage/deps/$(basename "$program")" >>"$stage/list"
    fi
done <"$stage/built"

export WHARF_VM_SECONDS=${WHARF_VM_SECONDS:-14400} WHARF_TEST_SLOWNESS=${WHARF_TEST_SLOWNESS:-10}
tests/vm/run.sh "$suite" tests/vm/each.sh "$stage/list" "$pattern"
