#!/usr/bin/env bash
# Installs what building and testing need on a fresh Debian machine. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${WHARF_TEST_TOOLS:-target/tools}
mkdir -p "$tools"

need=()
have() { command -v "$1" >/dev/null 2>&1; }
have cc || need+=(gcc libc6-dev)
[ -e /usr/lib/x86_64-linux-gnu/libc.a ] || [ -e /usr/lib/aarch64-linux-gnu/libc.a ] || need+=(libc6-dev)
[ -e /bin/busybox ] || [ -e /usr/bin/busybox ] || need+=(busybox-static)
have fsck.erofs || need+=(erofs-utils)
have setfattr || need+=(attr)
have capsh || need+=(libcap2-bin)
have unshare || need+=(util-linux)
have script || need+=(bsdutils)
have ip || need+=(iproute2)
have nft || need+=(nftables)
have curl || need+=(curl)
have nc || need+=(netcat-openbsd)
[ -x /usr/lib/cni/bridge ] || need+=(containernetworking-plugins)
have nft || need+=(nftables)
have python3 || need+=(python3 python3-venv)
if [ ${#need[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi

# The docker CLI of Debian 12 (20.10, API 1.41), unpacked beside the tree: an old client to be kind to.
if [ ! -x "$tools/docker20/usr/bin/docker" ]; then
    [ -n "$(ls /var/lib/apt/lists 2>/dev/null)" ] || apt-get update -qq
    work=$(mktemp -d)
    (cd "$work" && { apt-get download -qq docker.io || { apt-get update -qq && apt-get download -qq docker.io; }; })
    rm -rf "$tools/docker20" && mkdir -p "$tools/docker20"
    dpkg -x "$work"/docker.io_*.deb "$tools/docker20"
    rm -rf "$work"
fi

# Docker Compose 2, of a newer Debian than 12: the one binary out of its package, through an apt of
# its own that knows only that release and keeps nothing on the machine.
if [ ! -x "$tools/compose/docker-compose" ]; then
    work=$(mktemp -d)
    mkdir -p "$work"/{lists/partial,cache/archives/partial,parts}
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$key] http://deb.debian.org/debian sid main" >"$work/sources.list"
    apart=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
        -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/parts"
        -o "APT::Sandbox::User=root")
    apt-get "${apart[@]}" update -qq
    (cd "$work" && apt-get "${apart[@]}" download -qq docker-compose)
    dpkg -x "$work"/docker-compose_*.deb "$work/root"
    mkdir -p "$tools/compose"
    cp "$work/root/usr/libexec/docker/cli-plugins/docker-compose" "$tools/compose/docker-compose"
    rm -rf "$work"
fi

# A docker CLI must be on PATH; where there is none, the old one serves.
if ! have docker; then
    mkdir -p "$tools/bin"
    ln -sf "$PWD/$tools/docker20/usr/bin/docker" "$tools/bin/docker"
fi

# The Python SDK, in an environment of its own.
if [ ! -x "$tools/python/bin/python" ] || ! "$tools/python/bin/python" -c 'import docker' 2>/dev/null; then
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install -q 'docker>=7,<8'
fi
