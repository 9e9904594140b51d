#!/usr/bin/env bash
# What the store's layers are checked against where there is time for it (.ci/run):
#
#   target/tools/fsck.erofs   an EROFS checker that knows blocks of 512 bytes (WHARF_FSCK_EROFS)
#   target/tools/rootfs       the tree of a whole distribution (WHARF_TEST_ROOTFS)
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${WHARF_TEST_TOOLS:-target/tools}
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

# erofs-utils learnt such blocks in 1.6, and checks a checksum beside them only since 1.9 (1.8.6 reads
# beyond its buffer); Debian 12 has 1.5, Debian 13 1.8. Sid's runs here with libraries of its own.
if [ ! -x "$tools/fsck.erofs" ]; then
    tests/unpack.sh sid "$tools/erofs" erofs-utils+
    loader=$(find "$tools/erofs" -name 'ld-linux-*.so.*' | head -1)
    cat >"$tools/fsck.erofs.new" <<WRAPPER
#!/bin/sh
exec "$loader" --library-path "$(echo "$tools"/erofs/usr/lib/*-linux-gnu)" "$tools/erofs/usr/bin/fsck.erofs" "\$@"
WRAPPER
    chmod +x "$tools/fsck.erofs.new"
    mv "$tools/fsck.erofs.new" "$tools/fsck.erofs"
fi

if [ ! -d "$tools/rootfs" ]; then
    command -v debootstrap >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    own=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $own" | head -1)
    rm -rf "$tools/rootfs.new"
    debootstrap --variant=minbase "$own" "$tools/rootfs.new" "$mirror" >"$tools/debootstrap.log" || {
        tail -n 20 "$tools/debootstrap.log" >&2
        exit 1
    }
    mv "$tools/rootfs.new" "$tools/rootfs"
fi
