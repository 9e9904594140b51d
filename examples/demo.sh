#!/usr/bin/env bash
# The main job, end to end, in a private place that vanishes afterwards: an engine, an image made
# on the spot, containers that run, are entered, committed, saved and loaded again.
set -euo pipefail
wharf=${WHARF_BIN:?set WHARF_BIN to the built binary, or run: make demo}

if [ -z "${WHARF_DEMO_INSIDE:-}" ]; then
    # Its own mount and network namespaces: nothing here touches the host's.
    exec env WHARF_DEMO_INSIDE=1 unshare --mount --net --propagation private "$0" "$@"
fi

place=$(mktemp -d /var/tmp/wharf-demo.XXXXXX)
cgroup=/wharf-demo-$$
export WHARF_HOST=unix://$place/wharf.sock
ip link set lo up

finish() {
    "$wharf" ps -aq 2>/dev/null | xargs -r "$wharf" rm -f >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true
    find /sys/fs/cgroup -depth -type d -path "*$cgroup*" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$place"
}
trap finish EXIT

say() { printf '\n\033[1m$ wharf %s\033[0m\n' "$*"; }
run() { say "$@"; "$wharf" "$@"; }

"$wharf" daemon --host "$WHARF_HOST" --data-root "$place/data" --exec-root "$place/run" \
    --cgroup-parent "$cgroup" >"$place/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do [ -S "$place/wharf.sock" ] && "$wharf" version >/dev/null 2>&1 && break; sleep 0.05; done

# An image from nothing but Debian's static busybox.
mkdir -p "$place/root"/{bin,etc,tmp,proc,sys,dev}
cp "$(command -v busybox)" "$place/root/bin/busybox"
for applet in sh echo ls cat uname hostname sleep id; do ln -s busybox "$place/root/bin/$applet"; done
echo root:x:0:0:root:/:/bin/sh >"$place/root/etc/passwd"
say "import rootfs.tar busybox:demo"
tar -C "$place/root" -c . | "$wharf" import --change 'CMD ["sh"]' --change 'ENV PATH=/bin' - busybox:demo

run run --rm busybox:demo echo "hello from a container"
run run -d --name demo --memory 64m busybox:demo sh -c 'while :; do echo tick; sleep 1; done'
run exec demo sh -c 'echo "inside $(hostname), as $(id -u)"; echo made here > /note'
run commit -m "with a note" demo noted:1
say "save noted:1 -o noted.tar; rmi noted:1; load -i noted.tar"
"$wharf" save -o "$place/noted.tar" noted:1
"$wharf" rmi noted:1
"$wharf" load -i "$place/noted.tar"
run run --rm noted:1 cat /note
run ps
run images
run stats --no-stream
run logs --tail 2 demo
run rm -f demo
echo
echo "It works. Everything that was started is gone again."
