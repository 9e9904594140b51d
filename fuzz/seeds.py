#!/usr/bin/env python3
"""Makes seeds/: a few small, sound inputs for each target, from which a fuzzer finds the rest.

Run it after a format changed, and commit what it made: `python3 fuzz/seeds.py`.
"""

import gzip
import hashlib
import io
import json
import pathlib
import shutil
import struct
import tarfile

HERE = pathlib.Path(__file__).parent / "seeds"


def put(target, name, data):
    directory = HERE / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data.encode() if isinstance(data, str) else data)


def text(value):
    return json.dumps(value, separators=(",", ":"))


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(members, form=tarfile.USTAR_FORMAT, records=None):
    """An archive without the padding to 10 KiB that tar writes."""
    out = io.BytesIO()
    archive = tarfile.open(fileobj=out, mode="w", format=form)
    for name, kind, data in members:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        info.mtime = 1_500_000_000
        if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info.linkname = data
            data = b""
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = data
            data = b""
        info.size = len(data)
        if form == tarfile.PAX_FORMAT and records:
            info.pax_headers = dict(records)
        archive.addfile(info, io.BytesIO(data))
    archive.close()
    return out.getvalue().rstrip(b"\0").ljust(-(-len(out.getvalue().rstrip(b"\0")) // 512) * 512, b"\0") + bytes(1024)


REG, DIR, SYM, LNK, CHR, FIFO = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
)


def gnu_sparse():
    """An old GNU sparse file: 600 bytes, of which 5 at 512 are there."""
    block = bytearray(512)
    block[0:6] = b"sparse"
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"00000000005\0"
    block[136:148] = b"00000000000\0"
    block[156:157] = b"S"
    block[257:265] = b"ustar  \0"
    block[386:398] = b"00000001000\0"
    block[398:410] = b"00000000005\0"
    block[483:495] = b"00000001130\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"12345".ljust(512, b"\0") + bytes(1024)


def layers():
    return {
        "plain": tar([("etc", DIR, b""), ("etc/hosts", REG, b"127.0.0.1 localhost\n")]),
        "links": tar([("a", REG, b"x"), ("b", LNK, "a"), ("c", SYM, "../../a"), ("d", SYM, "/etc")]),
        "whiteouts": tar([("d/.wh..wh..opq", REG, b""), (".wh.gone", REG, b"")]),
        "nodes": tar([("null", CHR, (1, 3)), ("pipe", FIFO, b"")]),
        "long-name": tar([("n" * 120, REG, b"x"), ("m", SYM, "t" * 120)], tarfile.GNU_FORMAT),
        "pax": tar(
            [("f", REG, b"data")],
            tarfile.PAX_FORMAT,
            {"SCHILY.xattr.user.k": "v", "mtime": "1500000000.25", "path": "\u00e4/f"},
        ),
        "sparse": gnu_sparse(),
        "climbing": tar([("../../canary/x", REG, b"x"), ("/abs", REG, b"x")]),
        "through-link": tar([("l", SYM, "../.."), ("l/x", REG, b"x")]),
        "replaced": tar([("p", DIR, b""), ("p/f", REG, b"1"), ("p", REG, b"2")]),
    }


def images():
    layer = layers()["plain"]
    config = text(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Env": ["A=b"], "Cmd": ["/bin/sh"], "Labels": {"k": "v"}},
            "rootfs": {"type": "layers", "diff_ids": [sha(layer)]},
            "history": [{"created_by": "x"}, {"created_by": "ENV", "empty_layer": True}],
        }
    ).encode()
    docker = tar(
        [
            ("l.tar", REG, layer),
            ("c.json", REG, config),
            (
                "manifest.json",
                REG,
                text([{"Config": "c.json", "RepoTags": ["t:1"], "Layers": ["l.tar"]}]).encode(),
            ),
        ]
    )
    squeezed = gzip.compress(layer, 9, mtime=0)
    def descriptor(kind, data):
        media = "application/vnd.oci.image." + kind
        return {"mediaType": media, "digest": sha(data), "size": len(data)}
    manifest = text(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", config),
            "layers": [descriptor("layer.v1.tar+gzip", squeezed)],
        }
    ).encode()
    entry = descriptor("manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": "docker.io/library/t:1"}
    index = text({"schemaVersion": 2, "manifests": [entry]}).encode()
    blobs = [("blobs/sha256/" + sha(b)[7:], REG, b) for b in (squeezed, config, manifest)]
    oci = tar(
        [("oci-layout", REG, b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", REG, index)] + blobs
    )
    old_id = "0" * 64
    old = tar(
        [
            (old_id + "/VERSION", REG, b"1.0"),
            (old_id + "/json", REG, text({"id": old_id, "os": "linux"}).encode()),
            (old_id + "/layer.tar", REG, layer),
            ("repositories", REG, text({"t": {"1": old_id}}).encode()),
        ]
    )
    return config, manifest, index, {"docker": docker, "oci": oci, "old": old}


def request(line, body="", head=""):
    length = f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n" if body else ""
    return f"{line} HTTP/1.1\r\nHost: d\r\n{head}{length}\r\n{body}"


def requests():
    create = {
        "Image": "busybox",
        "Cmd": ["true"],
        "Entrypoint": "sh",
        "Env": ["A=b"],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"k": "v"},
        "HostConfig": {
            "Binds": ["/a:/b:ro,z", "v:/c"],
            "Memory": 4194304,
            "NetworkMode": "none",
            "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
            "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1}}],
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
            "SecurityOpt": ["seccomp=unconfined"],
            "RestartPolicy": {"Name": "no"},
        },
    }
    upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    return {
        "http10": "GET /containers/json?all=1 HTTP/1.0\r\n\r\n",
        "ping": request("HEAD /_ping"),
        "create": request("POST /v1.41/containers/create?name=x", text(create)),
        "list": request(
            "GET /v1.47/containers/json?size=1&filters=%7B%22status%22%3A%5B%22exited%22%5D%2C%22label%22%3A%7B%22a%3Db%22%3Atrue%7D%7D"
        ),
        "attach": request("POST /v1.47/containers/x/attach?stream=1&stdin=1", "", upgrade),
        "hijack": "POST /v1.24/containers/x/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nContent-Type: text/plain\r\n\r\nhello",
        "websocket": request(
            "GET /containers/x/attach/ws",
            "",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        ),
        "exec": request("POST /containers/x/exec", text({"Cmd": ["sh"], "Tty": True, "User": "1:2"})),
        "exec-start": request("POST /exec/0/start", text({"Detach": False, "ConsoleSize": [1, 2]})),
        "volume": request(
            "POST /volumes/create", text({"Name": "v", "DriverOpts": {"type": "tmpfs"}})
        ),
        "volumes": request("GET /volumes?filters=%7B%22name%22%3A%5B%22v%22%5D%7D"),
        "logs": request("GET /containers/x/logs?stdout=1&since=1.5&tail=10&timestamps=1"),
        "events": request("GET /events?since=0&until=1&filters=%7B%22type%22%3A%5B%22volume%22%5D%7D"),
        "update": request("POST /containers/x/update", text({"Memory": 1, "CpuShares": 2})),
        "chunked": "POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "archive": request("PUT /containers/x/archive?path=/&noOverwriteDirNonDir=1"),
        "images": request("GET /images/json?digests=1&filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"),
        "networks": request("GET /networks"),
    }


def attribute(kind, value):
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def frame(kind, flags, body):
    return struct.pack("=IHHII", len(body) + 16, kind, flags, 1, 0) + body


def netlink():
    """What the kernel tells: a bridge, an address, a route, a token bucket, a refusal."""
    info = attribute(1, b"bridge\0") + attribute(2, attribute(1, bytes(4)))
    link = struct.pack("=BBHiII", 0, 0, 1, 3, 0x1043, 0)
    link += attribute(3, b"br0\0") + attribute(1, bytes([2, 66, 10, 7, 0, 1])) + attribute(4, struct.pack("=I", 1500))
    link += attribute(18, info)
    address = bytes([2, 24, 0, 0, 3, 0, 0, 0]) + attribute(2, bytes([10, 7, 0, 1])) + attribute(1, bytes([10, 7, 0, 1]))
    route = bytes([10, 64, 0, 0, 254, 3, 0, 1]) + bytes(4) + attribute(1, b"\xfd\x07" + bytes(14))
    route += attribute(4, struct.pack("=I", 3)) + attribute(6, struct.pack("=I", 256))
    bucket = bytes([0, 1]) + bytes(6) + struct.pack("=I", 1000000) + bytes(12) + struct.pack("=III", 70000, 1000, 0)
    queue = struct.pack("=BxHiIII", 0, 0, 3, 0x20000, 0xFFFFFFFF, 1) + attribute(1, b"tbf\0")
    queue += attribute(2, attribute(1, bucket) + attribute(4, struct.pack("=Q", 1 << 33)))
    refusal = struct.pack("=i", -22) + frame(16, 5, b"")[:16] + attribute(1, b"Invalid scope\0")
    yield "listing", frame(16, 2, link) + frame(20, 2, address) + frame(24, 2, route) + frame(3, 2, bytes(4))
    yield "queue", frame(36, 2, queue)
    yield "refusal", frame(2, 0x300, refusal)
    yield "link", link


def dhcp():
    """A server's yes, bare and in its packet."""
    message = bytes([2, 1, 6, 0]) + bytes(12) + bytes([10, 7, 0, 77]) + bytes(8) + bytes([2, 66, 10, 7, 0, 2])
    message = message.ljust(236, b"\0") + bytes([99, 130, 83, 99])
    for option, value in [(53, b"\5"), (54, bytes([10, 7, 0, 1])), (1, bytes([255, 255, 255, 0])), (3, bytes([10, 7, 0, 1])),
                          (6, bytes([10, 7, 0, 1, 9, 9, 9, 9])), (51, bytes([0, 0, 0, 120])), (15, b"example.net")]:
        message += bytes([option, len(value)]) + value
    message += b"\xff"
    packet = struct.pack(">BBHHHBBH", 0x45, 0, len(message) + 28, 0, 0, 64, 17, 0) + bytes([10, 7, 0, 1]) + b"\xff" * 4
    packet += struct.pack(">HHHH", 67, 68, len(message) + 8, 0) + message
    yield "message", message
    yield "packet", packet


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    config, manifest, index, archives = images()
    for name, layer in layers().items():
        # layer_import is run with these as well.
        put("tar_reader", name, layer)
    put("layer_import", "gzip", gzip.compress(layers()["plain"], 9, mtime=0))
    put("compression", "gzip", gzip.compress(b"hello " * 20, 9, mtime=0))
    put("compression", "members", gzip.compress(b"one", 9, mtime=0) + gzip.compress(b"two", 9, mtime=0))
    # RFC 8878: one frame with a raw block ("hello"), and a skippable one.
    put("compression", "zstd", bytes.fromhex("28b52ffd2005290000") + b"hello")
    put("compression", "skippable", bytes.fromhex("502a4d1801000000ff28b52ffd2005290000") + b"hello")
    put("compression", "plain", b"plain")
    put("reference", "tagged", "localhost:5000/a/b-c_d:v1.0\0latest")
    put("reference", "digest", "busybox@" + sha(b"") + "\0b*:[a-z]?x")
    put("reference", "official", "docker.io/library/debian\0de*")
    put("digest", "digest", sha(b""))
    put("digest", "platform", "linux/arm64/v8")
    put("image_documents", "config", config)
    put("image_documents", "manifest", manifest)
    put("image_documents", "index", index)
    put(
        "image_change",
        "all",
        'CMD ["a","b"]\0ENTRYPOINT x y\0ENV A=b C="d $A" E=${HOME:-x}\0EXPOSE 80/tcp 90-95\0'
        "LABEL k=v\0ONBUILD RUN x\0USER 1:2\0VOLUME /a /b\0WORKDIR sub\0STOPSIGNAL SIGTERM\0"
        'HEALTHCHECK --interval=1s CMD x\0SHELL ["/bin/sh","-c"]',
    )
    for name, archive in archives.items():
        put("image_load", name, archive)
    record = '{"log":"hello\\n","stream":"stdout","time":"2024-01-01T00:00:00.000000001Z"}\n'
    put("log_records", "file", "\x04" + record * 3 + '{"log":"cut')
    put("log_records", "output", "\x05one\ntwo \u00e4\nthree")
    def frame(kind, payload):
        return len(payload).to_bytes(4, "little") + bytes([kind]) + payload
    for name, value in {
        "start": "Start",
        "signal": {"Signal": {"signal": 15, "all": False, "exec": None}},
        "resize": {"Resize": {"exec": None, "size": {"rows": 24, "columns": 80}}},
        "attach": {"Attach": {"stdin": True, "stdout": True, "stderr": True}},
        "watch": "Watch",
        "error": {"Error": {"message": "m", "exit_code": 127, "not_running": False}},
    }.items():
        put("shim_frames", name, frame(0, text(value).encode()) + frame(2, b"out") + frame(5, bytes(4)))
    put("user", "name", "www:adm\0root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:\n\0adm:x:4:www\nx:x:5:www\n\0x")
    put("user", "number", "1000:50\0a:x:1000:7::/h:\n\0g:x:50:a\n")
    rule = {
        "names": ["read", "clone", "personality"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8"},
        "excludes": {"arches": ["s390"]},
    }
    put(
        "seccomp_profile",
        "docker",
        text(
            {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 1,
                "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
                "syscalls": [rule, {"names": ["write"], "action": "SCMP_ACT_ALLOW"}],
            }
        ),
    )
    put(
        "seccomp_profile",
        "oci",
        text(
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [
                    {
                        "names": ["ioctl"],
                        "action": "SCMP_ACT_KILL_PROCESS",
                        "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_GE"}],
                    }
                ],
            }
        ),
    )
    put(
        "cgroup_files",
        "unified",
        "4096\n\0low 0\nmax 3\noom_kill 1\n\0max\n\0anon 1000\ninactive_file 24\n\0usage_usec 10\nuser_usec 6\n\0"
        "8:0 rbytes=512 wbytes=0 rios=1 wios=0\n\0003\n\0max\n\00012\n13\n\0populated 1\nfrozen 0\n\0001\n\0000\n",
    )
    put(
        "cgroup_files",
        "several",
        "4096\n\0oom_kill_disable 0\nunder_oom 0\noom_kill 2\n\0009223372036854771712\n\0rss 1\ncache 2\n\0nr_periods 1\n"
        "nr_throttled 1\nthrottled_time 5\n\0008:0 Read 4096\nTotal 4096\n\0003\n\0max\n\00012\n\0user 1\nsystem 2\n\0THAWED\n\0001 2 3\n",
    )
    for name, data in requests().items():
        put("engine_api", name, data)
    for name, data in netlink():
        put("netlink", name, data)
    for name, data in dhcp():
        put("dhcp", name, data)

    # A question of a container, and what a server says to it.
    def name(text):
        return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"

    def message(flags, counts, body):
        return b"\x12\x34" + flags + b"".join(count.to_bytes(2) for count in counts) + body

    edns = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x02"
    soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\x3c\0\x16\0\0" + bytes(19) + b"\x3c"
    for case, host, kind, answer in [
        ("a", "Web.test", 1, (1, 0, address)),
        ("aaaa", "web", 28, (0, 1, soa)),
        ("ptr", "2.0.17.172.in-addr.arpa", 12, (0, 0, b"")),
    ]:
        asked = name(host) + kind.to_bytes(2) + b"\0\x01"
        question = message(b"\x01\0", (1, 0, 0, 1), asked + edns)
        answers, authorities, records = answer
        reply = message(b"\x81\x80", (1, answers, authorities, 0), asked + records)
        put("dns", case, len(question).to_bytes(2) + question + reply)

    plugins = [{"type": "bridge", "capabilities": {"mac": True}}, {"type": "tuning"}]
    put("cni", "list", text({"cniVersion": "1.0.0", "name": "net", "plugins": plugins}))
    put("cni", "one", text({"cniVersion": "0.4.0", "name": "net", "type": "ptp"}))
    made = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/proc/1/ns/net"}],
        "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.1.0.1"]},
    }
    put("cni", "result", text(made))


if __name__ == "__main__":
    main()
