#!/usr/bin/env bash
# Runs commands as root in a small VM: another kernel, and cgroup v2, which the machine may not have.
#
#   tests/vm/run.sh SUITE COMMAND...     SUITE: bookworm (6.1) or trixie (6.12)
#
# The VM sees this machine's files read-only through virtiofs, under a writable tmpfs, and has an
# empty ext4 on /var/tmp. WHARF_VM_CGROUP says which cgroups it mounts: v2 (unsaid), v1 or hybrid.
# qemu emulates in software: no /dev/kvm is needed, and everything is some ten times slower, more on
# a busy machine. The exit code is the command's; 70 if the VM ended before it.
set -euo pipefail
suite=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
tools=${WHARF_TEST_TOOLS:-$here/../../target/tools}/vm
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

need=()
command -v qemu-system-x86_64 >/dev/null || need+=(qemu-system-x86)
[ -x /usr/lib/qemu/virtiofsd ] || [ -x /usr/libexec/virtiofsd ] || need+=(qemu-system-common)
command -v cpio >/dev/null || need+=(cpio)
command -v mke2fs >/dev/null || need+=(e2fsprogs)
if [ ${#need[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi
virtiofsd=/usr/lib/qemu/virtiofsd
[ -x $virtiofsd ] || virtiofsd=/usr/libexec/virtiofsd

# Debian's cloud kernel of that suite, from the mirrors that this machine is set up with.
kernel=$tools/$suite
"$here/../unpack.sh" "$suite" "$kernel" linux-image-cloud-amd64?
modules=$(find "$kernel" -path "*lib/modules/*" -maxdepth 5 -name modules.order -printf "%h\n" | head -1)

work=$(mktemp -d /var/tmp/wharf-vm.XXXXXX)
fs=
trap '[ -z "$fs" ] || kill "$fs" 2>/dev/null || true; rm -rf "$work"' EXIT

# The initramfs: a static busybox, the modules that are not built in, and this script's init.
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,mnt,lower,upper,modules}
cp "$(command -v busybox)" "$root/bin/busybox"
wanted='virtio virtio_ring dax virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk fuse virtiofs netfs overlay erofs
    veth bridge stp llc macvlan ipvlan garp mrp 8021q dummy sch_tbf sch_netem ext4 mbcache jbd2 crc16 crc32c_generic libcrc32c lz4_decompress'
for name in $wanted; do
    file=$(find "$modules" -name "$name.ko*" | head -1)
    [ -n "$file" ] || continue
    case $file in
    *.xz) xz -dc "$file" >"$root/modules/$name.ko" ;;
    *.zst) zstd -dcq "$file" >"$root/modules/$name.ko" ;;
    *) cp "$file" "$root/modules/$name.ko" ;;
    esac
done
cp "$here/init" "$root/init"
chmod +x "$root/init"
printf '%q ' "$@" >"$work/line"
{ printf 'cd %q\n' "$PWD"; env | grep -E '^(WHARF_|PATH=|CARGO)' | sed "s/'/'\\\\''/g; s/=/='/; s/\$/'/; s/^/export /"; cat "$work/line"; } >"$root/command"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"
truncate -s 4G "$work/disk"
mke2fs -q -t ext4 "$work/disk"

# The one of qemu 7 and the one of its own package take other words. Files do not change meanwhile:
# without `always` the VM would read a program anew at every start.
if "$virtiofsd" --help 2>&1 | grep -q -- --shared-dir; then
    share=(--shared-dir / --sandbox none --cache always)
else
    share=(-o source=/ -o sandbox=chroot -o cache=always --rlimit-nofile=10000)
fi
"$virtiofsd" --socket-path="$work/fs.sock" "${share[@]}" >"$work/fs.log" 2>&1 &
fs=$!
for _ in $(seq 100); do [ -S "$work/fs.sock" ] && break; sleep 0.05; done

# A busy machine misses the timer check of an emulated one, which would be a panic.
timeout "${WHARF_VM_SECONDS:-1500}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3G -nographic -no-reboot \
    -object memory-backend-memfd,id=m,size=3G,share=on -numa node,memdev=m \
    -kernel "$(find "$kernel" -name 'vmlinuz-*' | head -1)" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check mitigations=off rcupdate.rcu_cpu_stall_suppress=1 wharf.cgroup=${WHARF_VM_CGROUP:-v2}" \
    -chardev "socket,id=fs,path=$work/fs.sock" -device vhost-user-fs-pci,chardev=fs,tag=host \
    -drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" -nic none </dev/null |
    tee "$work/console" | sed -u '/^WHARF-VM-EXIT/d; s/\r$//'
set +o pipefail
code=$(tr -d '\r' <"$work/console" | sed -n 's/^WHARF-VM-EXIT \([0-9]*\)$/\1/p' | tail -1)
[ -n "$code" ] || { echo "the VM ended before the command did" >&2; cat "$work/fs.log" >&2; exit 70; }
exit "$code"
