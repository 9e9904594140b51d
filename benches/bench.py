"""Measures Wharf beside its peers and the kernel's floor, in one run, and prints Markdown tables.

Run by benches/run.sh inside its own mount and network namespaces. Figures are medians; subjects
are interleaved, so that a slow minute of the machine hits all of them. Read ratios, not absolutes.
"""

import gzip
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WHARF = os.environ["WHARF_BIN"]
FLOOR = os.environ["WHARF_FLOOR"]
PEERS = os.environ.get("BENCH_PEERS", "")
QUICK = "--quick" in sys.argv
ONLY = [a for a in sys.argv[1:] if not a.startswith("-")]
COUNT = 10 if QUICK else 30
WORK = pathlib.Path(tempfile.mkdtemp(prefix="wharf-bench.", dir="/var/tmp"))
CGROUP = f"/wharf-bench-{os.getpid()}"
EARLIER = {int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()}


# ---- talking to an engine ---------------------------------------------------------------------


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("engine", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


class Engine:
    """An engine that speaks the Docker API, wherever it came from."""

    def __init__(self, name, sock, process, network):
        self.name, self.sock, self.process, self.network = name, sock, process, network

    def call(self, method, path, body=None, raw=None):
        connection = Unix(self.sock)
        headers = {}
        if body is not None:
            raw, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        elif raw is not None:
            headers = {"Content-Type": "application/x-tar"}
        connection.request(method, path, body=raw, headers=headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {data[:300]!r}")
        return json.loads(data) if data[:1] in (b"{", b"[") and data.count(b"\n") <= 1 else data

    def create(self, command, network="none", **more):
        body = {"Image": "bench:1", "Cmd": command, "HostConfig": {"NetworkMode": network, **more}}
        return self.call("POST", "/v1.41/containers/create", body)["Id"]

    def run_true(self, network):
        """create, start, wait, remove: the whole life of `true`, without a command line's own cost."""
        name = self.create(["true"], network)
        self.call("POST", f"/v1.41/containers/{name}/start")
        self.call("POST", f"/v1.41/containers/{name}/wait")
        self.call("DELETE", f"/v1.41/containers/{name}")

    def start_to_exit(self, network):
        """The middle of it: from the start request to the end of the process."""
        name = self.create(["true"], network)
        began = time.perf_counter()
        self.call("POST", f"/v1.41/containers/{name}/start")
        self.call("POST", f"/v1.41/containers/{name}/wait")
        took = time.perf_counter() - began
        self.call("DELETE", f"/v1.41/containers/{name}")
        return took * 1e3

    def sweep(self):
        for container in self.call("GET", "/v1.41/containers/json?all=1"):
            self.call("DELETE", f"/v1.41/containers/{container['Id']}?force=1")


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise RuntimeError(f"waited {seconds} s for {what}")


def answers(path):
    try:
        connection = Unix(str(path))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except OSError:
        return False


def wharf():
    place = WORK / "wharf"
    (place / "run").mkdir(parents=True)
    # As /run is on any machine, and as dockerd's is below.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place / "run"], check=True)
    sock = str(place / "sock")
    log = open(place / "log", "wb")
    process = subprocess.Popen(
        [WHARF, "daemon", "-H", f"unix://{sock}", "--data-root", place / "data", "--exec-root", place / "run",
         "--cgroup-parent", CGROUP], stdout=log, stderr=log)
    wait_for("wharf", lambda: answers(sock))
    return Engine("wharf", sock, process, "none")


def furnish_peers():
    """What programs in the peers' chroot need around them."""
    root = pathlib.Path(PEERS)
    for source in ("proc", "sys", "dev"):
        subprocess.run(["mount", "--rbind", f"/{source}", root / source], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "run"], check=True)
    (root / "bench").mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", WORK, root / "bench"], check=True)


def dockerd():
    """A dockerd in the peers' chroot, if there is one."""
    if not PEERS or not pathlib.Path(PEERS, "usr/sbin/dockerd").exists():
        return None
    root = pathlib.Path(PEERS)
    data = WORK / "docker"
    data.mkdir()
    log = open(WORK / "dockerd.log", "wb")
    # A root of its own, not a chroot: dockerd remounts `/` when it unpacks a layer.
    enter = f"""set -e
        mount --rbind {root} {root}
        cd {root}
        mkdir -p .old
        pivot_root . .old
        umount -l .old
        exec "$@" """
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh",
         "dockerd", "-H", "unix:///bench/docker.sock", "--data-root", "/bench/docker",
         "--exec-root", "/run/docker", "--bridge=none", "--iptables=false", "--ip6tables=false",
         "--cgroup-parent", CGROUP + "d"], stdout=log, stderr=log)
    sock = str(WORK / "docker.sock")
    try:
        wait_for("dockerd", lambda: answers(sock), 40)
    except RuntimeError as error:
        print(f"dockerd did not start ({error}); its log ends:", open(WORK / "dockerd.log").read()[-500:], file=sys.stderr)
        return None
    return Engine("docker", sock, process, "none")


# ---- what is measured with ----------------------------------------------------------------------


def rootfs():
    place = WORK / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        (place / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    shutil.copy(busybox, place / "bin/busybox")
    for applet in ("sh", "true", "sleep", "echo", "cat", "ls", "find", "wc"):
        (place / "bin" / applet).symlink_to("busybox")
    (place / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    return place


def image(place):
    """A docker archive of one directory, made by tar and sha256 alone."""
    build = WORK / "image"
    build.mkdir()
    subprocess.run(["tar", "-C", place, "--numeric-owner", "-cf", build / "layer.tar", "."], check=True)
    return archive(build, [build / "layer.tar"], "bench:1")


def archive(build, layers, name):
    import hashlib

    diffs = []
    for layer in layers:
        digest = hashlib.sha256()
        with open(layer, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        diffs.append("sha256:" + digest.hexdigest())
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
                         "rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    (build / "config.json").write_bytes(config)
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": [layer.name for layer in layers]}]
    (build / "manifest.json").write_text(json.dumps(manifest))
    out = build.with_suffix(".tar")
    subprocess.run(["tar", "-C", build, "-cf", out, "manifest.json", "config.json", *[layer.name for layer in layers]], check=True)
    return out


def median(values):
    return statistics.median(values)


def table(title, heads, rows, note=""):
    print(f"\n## {title}\n")
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    if note:
        print(f"\n{note}")
    sys.stdout.flush()


def ms(value):
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def ratio(value, base):
    return f"{value / base:.2f}x" if base else "-"


def pss(pid):
    """Proportional set size in KiB."""
    try:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except ProcessLookupError:
        pass  # It has just ended.
    return 0


def pids_named(*names):
    """Processes with these names, but for those that were there before this run."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int(entry.name) not in EARLIER and (entry / "comm").read_text().strip() in names:
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def timed(function, *args):
    began = time.perf_counter()
    function(*args)
    return (time.perf_counter() - began) * 1e3


def interleaved(subjects, count, settle):
    """Runs each subject `count` times in turn; the first round warms up."""
    results = {name: [] for name in subjects}
    for round_ in range(count + 1):
        for name, function in subjects.items():
            if settle:
                time.sleep(settle)
            value = function()
            if round_:
                results[name].append(value)
    return {name: median(values) for name, values in results.items()}


# ---- the sections -------------------------------------------------------------------------------


def section_start(engines, place):
    subjects = {}
    floors = WORK / "floor"
    floors.mkdir()
    def floor(*cgroups):
        return lambda: float(subprocess.run(
            [FLOOR, "start", place, floors, "1", *cgroups], capture_output=True, text=True, check=True).stdout)

    subjects["floor: clone3 + overlay + exec"] = floor()
    # The hierarchies that an engine joins; made by the daemon's first container.
    engines[0].run_true("none")
    tops = [str(top) for top in sorted(pathlib.Path("/sys/fs/cgroup").glob(f"*/{CGROUP.strip('/')}"))
            if not top.parent.is_symlink()] or [f"/sys/fs/cgroup{CGROUP}"]
    subjects["floor: the same, in cgroups of its own"] = floor(*tops)
    bundle = WORK / "bundle"
    bundle.mkdir()
    spec = json.loads(subprocess.run([WHARF, "runtime", "spec"], cwd=bundle, capture_output=True, text=True, check=True).stdout
                      or (bundle / "config.json").read_text())
    spec["process"].update(args=["/bin/true"], terminal=False)
    spec["root"] = {"path": str(place), "readonly": True}
    spec.setdefault("linux", {})["cgroupsPath"] = f"{CGROUP}/raw"
    (bundle / "config.json").write_text(json.dumps(spec))
    serial = iter(range(10**6))

    def raw(command):
        def go():
            name = f"b{next(serial)}"
            return timed(lambda: subprocess.run([*command, name], stdin=subprocess.DEVNULL, check=True, capture_output=True))
        return go

    subjects["wharf runtime run"] = raw([WHARF, "runtime", "--root", str(WORK / "rt"), "run", "--bundle", str(bundle)])
    for name in ("crun", "runc"):
        if PEERS and pathlib.Path(PEERS, "usr/bin", name).exists() or pathlib.Path(PEERS or "/", "usr/sbin", name).exists():
            mine = json.loads((bundle / "config.json").read_text())
            mine["root"]["path"] = "/bench/rootfs"
            other = WORK / f"bundle-{name}"
            other.mkdir()
            (other / "config.json").write_text(json.dumps(mine))
            # In dockerd's mount namespace where there is one: they want a root that is a mount.
            inside = [["nsenter", f"--mount=/proc/{engine.process.pid}/ns/mnt"] for engine in engines if engine.name == "docker"]
            enter = inside[0] if inside else ["chroot", PEERS]
            subjects[f"{name} run"] = raw([*enter, name, "--root", f"/run/{name}-bench", "run", "--bundle", f"/bench/bundle-{name}"])
    for engine in engines:
        for network in ("none", "host"):
            subjects[f"{engine.name}: start to exit by the API, network {network}"] = (
                lambda engine=engine, network=network: engine.start_to_exit(network))
            subjects[f"{engine.name}: create, start, wait, remove by the API, network {network}"] = (
                lambda engine=engine, network=network: timed(engine.run_true, network))
        if shutil.which("docker"):
            def cli(engine=engine):
                env = {**os.environ, "DOCKER_HOST": f"unix://{engine.sock}"}
                return timed(lambda: subprocess.run(["docker", "run", "--rm", "--network", "none", "bench:1", "true"], env=env, check=True))
            subjects[f"{engine.name}: docker run --rm --network none"] = cli
    wharf_engine = engines[0]
    subjects["wharf: wharf run --rm --network none"] = lambda: timed(lambda: subprocess.run(
        [WHARF, "run", "--rm", "--network", "none", "bench:1", "true"],
        env={**os.environ, "WHARF_HOST": f"unix://{wharf_engine.sock}"}, check=True))
    working = {}
    for name, function in subjects.items():
        try:
            function()
            working[name] = function
        except Exception as error:
            detail = getattr(error, "stderr", b"") or b""
            print(f"left out: {name}: {error} {detail[:300]!r}", file=sys.stderr)
    hot = interleaved(working, COUNT, 0)
    settled = interleaved(working, max(5, COUNT // 3), 0.4)
    base, grouped = hot["floor: clone3 + overlay + exec"], hot["floor: the same, in cgroups of its own"]
    rows = [(name, ms(settled[name]), ms(hot[name]), ratio(hot[name], base), ratio(hot[name], grouped)) for name in working]
    table("Start to exit of `true` (ms)", ("subject", "settled", "back to back", "to the floor", "to the floor in cgroups"), rows,
          "Settled: 0.4 s of idle before each run. No floor applies a seccomp filter, drops capabilities, keeps a log or a record.")


def section_exec(engines):
    names = {engine: engine.create(["sleep", "1000"]) for engine in engines}
    for engine, name in names.items():
        engine.call("POST", f"/v1.41/containers/{name}/start")

    def once(engine):
        body = {"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True}
        exec_id = engine.call("POST", f"/v1.41/containers/{names[engine]}/exec", body)["Id"]
        engine.call("POST", f"/v1.41/exec/{exec_id}/start", {"Detach": False, "Tty": False})

    def attached(engine):
        def go():
            env = {**os.environ, "DOCKER_HOST": f"unix://{engine.sock}"}
            return timed(lambda: subprocess.run(["docker", "exec", names[engine], "true"], env=env, check=True))
        return go

    results = interleaved({engine.name: attached(engine) for engine in engines}, COUNT, 0)
    rows = [(f"{name}: docker exec true", ms(value)) for name, value in results.items()]
    version = interleaved({"docker --version": lambda: timed(lambda: subprocess.run(["docker", "--version"], capture_output=True, check=True))}, COUNT, 0)
    rows.append(("docker --version (the command line alone)", ms(version["docker --version"])))
    table("Exec (ms)", ("subject", "median"), rows)
    for engine in engines:
        engine.sweep()


def section_density(engines):
    rows, memory = [], []
    for engine in engines:
        if engine.name == "wharf":
            idle = pss(engine.process.pid)
        else:
            idle = sum(pss(pid) for pid in pids_named("dockerd", "containerd"))

        def start_many(count, parallel):
            todo = iter(range(count))
            lock = threading.Lock()

            def worker():
                while True:
                    with lock:
                        if next(todo, None) is None:
                            return
                    name = engine.create(["sleep", "1000"])
                    engine.call("POST", f"/v1.41/containers/{name}/start")

            threads = [threading.Thread(target=worker) for _ in range(parallel)]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.perf_counter() - began

        serial = start_many(100, 1)
        began = time.perf_counter()
        engine.sweep()
        removed = time.perf_counter() - began
        parallel = start_many(100, 8)
        if engine.name == "wharf":
            holders = pids_named("wharf-shim")
            daemon = pss(engine.process.pid)
        else:
            holders = pids_named("containerd-shim", "containerd-shim-runc-v2", "containerd-shim")
            daemon = sum(pss(pid) for pid in pids_named("dockerd", "containerd"))
        sizes = [size for size in map(pss, holders) if size]
        per = sum(sizes) / 100 / 1024
        memory.append((engine.name, f"{idle / 1024:.1f}", f"{per:.3f}", f"{(daemon - idle) / 100 / 1024:.3f}", len(sizes)))
        listed = median([timed(engine.call, "GET", "/v1.41/containers/json") for _ in range(20)])
        rows.append((engine.name, f"{serial:.2f}", f"{parallel:.2f}", f"{removed:.2f}", ms(listed)))
        engine.sweep()
    table("A hundred containers, network none (s)", ("engine", "100 starts serial", "8 parallel", "remove 100 running, serial", "ps with 100 running, API (ms)"), rows)
    table("Memory (PSS, MiB)", ("engine", "idle daemon", "holder per container, 100 running", "daemon's growth per container", "holders"), memory,
          "Holders are shims. `busybox sleep` itself is 0.06 MiB.")


def section_ps(engines):
    rows = []
    for engine in engines:
        for _ in range(500):
            engine.create(["true"])
        api = median([timed(engine.call, "GET", "/v1.41/containers/json?all=1") for _ in range(20)])
        env = {**os.environ, "DOCKER_HOST": f"unix://{engine.sock}"}
        cli = median([timed(lambda: subprocess.run(["docker", "ps", "-a"], env=env, capture_output=True, check=True)) for _ in range(5)])
        rows.append((engine.name, ms(api), ms(cli)))
        engine.sweep()
    table("`ps -a` with 500 containers (ms)", ("engine", "API", "docker CLI"), rows)


def big_image():
    """About 600 MB in six layers, from this machine's own files, as an OCI layout with gzip layers and as a docker archive."""
    build = WORK / "big"
    build.mkdir()
    sources = [p for p in ("/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/share", "/usr/lib/python3", "/usr/lib/gcc", "/usr/include", "/usr/sbin", "/usr/lib") if pathlib.Path(p).exists()]
    files = []
    for source in sources:
        for directory, _, names in os.walk(source):
            for name in names:
                path = os.path.join(directory, name)
                try:
                    info = os.lstat(path)
                except OSError:
                    continue
                if info.st_size < 40 << 20:
                    files.append((path, info.st_size))
    limit, layers, taken, index = 600 << 20, [], 0, 0
    for n in range(6):
        part, size = [], 0
        while index < len(files) and size < limit // 6:
            part.append(files[index][0])
            size += files[index][1]
            index += 1
        taken += size
        layer = build / f"layer{n}.tar"
        subprocess.run(["tar", "-P", "--transform", "s,^/,,", "--numeric-owner", "--no-recursion", "-cf", layer, "-T", "-"],
                       input="\n".join(part).encode(), check=True, stderr=subprocess.DEVNULL)
        layers.append(layer)
    plain = archive(build, layers, "big:1")
    packed = []
    for layer in layers:
        out = layer.with_suffix(".tar.gz")
        with open(out, "wb") as file:
            subprocess.run(["gzip", "-6", "-n", "-c", layer], stdout=file, check=True)
        packed.append(out)
    # The same image with its layers gzipped, as they cross a wire: an OCI layout.
    import hashlib

    def digest(path):
        value = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                value.update(chunk)
        return value.hexdigest()

    oci = WORK / "oci"
    blobs = oci / "blobs/sha256"
    blobs.mkdir(parents=True)
    (oci / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    config = (build / "config.json").read_bytes()

    def blob(data):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": "sha256:" + name, "size": len(data)}

    descriptors = []
    for path in packed:
        name = digest(path)
        os.link(path, blobs / name)
        descriptors.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + name, "size": path.stat().st_size})
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(config)}, "layers": descriptors}).encode()
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", **blob(manifest),
         "annotations": {"io.containerd.image.name": "docker.io/library/big:1", "org.opencontainers.image.ref.name": "1"}}]}
    (oci / "index.json").write_text(json.dumps(index))
    # As `docker save` writes it: dockerd's classic store looks for this one.
    legacy = [{"Config": "blobs/sha256/" + hashlib.sha256(config).hexdigest(), "RepoTags": ["big:1"],
               "Layers": ["blobs/" + layer["digest"].replace(":", "/") for layer in descriptors]}]
    (oci / "manifest.json").write_text(json.dumps(legacy))
    layout = WORK / "oci.tar"
    subprocess.run(["tar", "-C", oci, "-cf", layout, "oci-layout", "index.json", "manifest.json", "blobs"], check=True)
    size = sum(layer.stat().st_size for layer in layers)
    return plain, layout, packed, layers, size


def stream(engine, path):
    """Posts an archive as the command line does: in chunks, as they are read."""
    connection = Unix(engine.sock)
    with open(path, "rb") as file:
        connection.request("POST", "/v1.41/images/load?quiet=1", body=iter(lambda: file.read(1 << 18), b""),
                           headers={"Content-Type": "application/x-tar"}, encode_chunked=True)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200 or b"errorDetail" in text:
        raise RuntimeError(f"{engine.name}: {text[:500]!r}")


def section_load(engines):
    plain, layout, packed, layers, size = big_image()
    floor = WORK / "gunzip"

    def gunzip():
        shutil.rmtree(floor, ignore_errors=True)
        return float(subprocess.run([FLOOR, "gunzip", floor, *packed], capture_output=True, text=True, check=True).stdout) * 1e3

    subjects = {"floor: gunzip + sha256 + write + fsync, all cores": gunzip}

    def load(engine, path):
        def go():
            took = timed(stream, engine, path)
            engine.call("DELETE", "/v1.41/images/big:1?force=1")
            wait_for("its layers to go", lambda: True)
            return took
        return go

    for engine in engines:
        subjects[f"{engine.name}: load, gzip layers (OCI)"] = load(engine, layout)
        subjects[f"{engine.name}: load, plain layers (docker archive)"] = load(engine, plain)
    results = interleaved(subjects, 3, 1)
    base = results["floor: gunzip + sha256 + write + fsync, all cores"]
    table(f"Load of {size >> 20} MiB in six layers (s)", ("subject", "median", "to the floor"),
          [(name, f"{value / 1e3:.2f}", ratio(value, base)) for name, value in results.items()])
    # Reading a layer, cold and warm.
    engine = engines[0]
    stream(engine, plain)
    flat = WORK / "flat"
    flat.mkdir()
    for layer in layers:
        subprocess.run(["tar", "-C", flat, "-xf", layer], check=True, stderr=subprocess.DEVNULL)
    os.sync()
    subprocess.run(["mount", "--bind", flat, flat], check=True)
    command = ["sh", "-c", "find / -xdev -type f -exec cat {} + | wc -c"]

    def read(binds, image_):
        body = {"Image": image_, "Cmd": command, "HostConfig": {"NetworkMode": "none", "Binds": binds}}
        if binds:
            body["Cmd"] = ["sh", "-c", "find /flat -type f -exec cat {} + | wc -c"]
        name = engine.call("POST", "/v1.41/containers/create", body)["Id"]
        began = time.perf_counter()
        engine.call("POST", f"/v1.41/containers/{name}/start")
        engine.call("POST", f"/v1.41/containers/{name}/wait")
        took = time.perf_counter() - began
        engine.call("DELETE", f"/v1.41/containers/{name}")
        return took * 1e3

    def drop():
        os.sync()
        try:
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        except OSError as error:
            print(f"the page cache cannot be dropped here: {error}", file=sys.stderr)

    # The bench image's shell over the big one's files.
    rows = []
    busy = {"cold": [], "warm": []}
    bound = {"cold": [], "warm": []}
    merged = merged_image(engine, layers)
    for _ in range(3):
        drop()
        busy["cold"].append(read([], merged))
        busy["warm"].append(read([], merged))
        drop()
        bound["cold"].append(read([f"{flat}:/flat:ro"], "bench:1"))
        bound["warm"].append(read([f"{flat}:/flat:ro"], "bench:1"))
    rows.append(("wharf: layers mounted from their tars", f"{median(busy['cold']) / 1e3:.2f}", f"{median(busy['warm']) / 1e3:.2f}"))
    rows.append(("the same files unpacked, bound in", f"{median(bound['cold']) / 1e3:.2f}", f"{median(bound['warm']) / 1e3:.2f}"))
    table("Reading every file of it in a container (s)", ("subject", "cold", "warm"), rows)


def merged_image(engine, layers):
    build = WORK / "merged"
    build.mkdir()
    parts = [build / "layer.tar"]
    os.link(WORK / "image/layer.tar", parts[0])
    for n, layer in enumerate(layers):
        os.link(layer, build / f"big{n}.tar")
        parts.append(build / f"big{n}.tar")
    # The shell's layer goes on top, so that its /bin wins.
    stream(engine, archive(build, parts[1:] + parts[:1], "merged:1"))
    return "merged:1"


def finish(engines):
    for engine in engines:
        try:
            engine.sweep()
        except Exception as error:
            print(f"{engine.name}: {error}", file=sys.stderr)
        engine.process.send_signal(signal.SIGTERM)
        try:
            engine.process.wait(30)
        except subprocess.TimeoutExpired:
            engine.process.kill()
    for root in pathlib.Path("/sys/fs/cgroup").glob("*"):
        for name in (CGROUP, CGROUP + "d"):
            top = root / name.strip("/")
            if top.is_dir():
                for directory, _, _ in os.walk(top, topdown=False):
                    try:
                        os.rmdir(directory)
                    except OSError:
                        pass
    for mount in ("flat", "wharf/run"):
        subprocess.run(["umount", "-l", WORK / mount], stderr=subprocess.DEVNULL)
    shutil.rmtree(WORK, ignore_errors=True)


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    engines = [wharf()]
    try:
        if PEERS:
            furnish_peers()
        docker = dockerd()
        if docker:
            engines.append(docker)
        place = rootfs()
        archive_ = image(place)
        for engine in engines:
            stream(engine, archive_)
        kernel = os.uname().release
        print(f"# Measured\n\n{os.cpu_count()} cores, kernel {kernel}; subjects: {', '.join(e.name for e in engines)}. Medians.")
        sections = {"start": lambda: section_start(engines, place), "exec": lambda: section_exec(engines),
                    "density": lambda: section_density(engines), "ps": lambda: section_ps(engines),
                    "load": lambda: section_load(engines)}
        for name, section in sections.items():
            if not ONLY or name in ONLY:
                section()
    finally:
        finish(engines)


main()
