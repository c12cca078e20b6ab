"""All that runs in real containers need, made on this machine: registry, base image, engine's settings.

    debootstrap -> a root file system with Python -> pushed as an image to docker-registry on the loopback

Nothing is pulled from anywhere. Needs root, and of Debian: podman runc docker-registry debootstrap. The root
file system takes a minute or two and is kept: TIDEMILL_BASE_TAR says where, by default in the cache folder.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidemill.images.layer import EPOCH
from tidemill.images.registry import OCI_MANIFEST, Document, Registry, opener
from tidemill.types.json import canonical

PROGRAMS = ("podman", "runc", "docker-registry", "debootstrap")
SUITE = "bookworm"
PYTHON = "3.11.2"
"""Of that suite."""
# Without a right to raise limits podman must ask for what there is; without systemd it counts by itself.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def missing() -> str:
    """Why real containers cannot be run here; empty when they can."""
    if not os.environ.get("TIDEMILL_CONTAINERS"):
        return "real containers are run on demand: set TIDEMILL_CONTAINERS=1"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "" if os.geteuid() == 0 else "only root makes a root file system"


@dataclass(frozen=True)
class Site:
    """A registry with a base image, and an engine that knows no other."""

    host: str
    base: str
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """For commands that use an engine."""
        return {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"), "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }  # fmt: skip

    def image(self, file: Path, *words: str, folder: Path) -> str:
        """`tidemill image`: the name with the digest, which the engine then has."""
        done = subprocess.run(
            [sys.executable, "-m", "tidemill.cli.main", "image", str(file), *words], cwd=folder, text=True,
            stdout=subprocess.PIPE, check=True, env={**os.environ, **self.environ},
        )  # fmt: skip
        name = done.stdout.strip()
        self.podman("pull", "--quiet", "--tls-verify=false", name)
        return name

    def podman(self, *words: str) -> str:
        """A command of the engine; what it prints."""
        done = subprocess.run(["podman", *words], text=True, stdout=subprocess.PIPE, check=True,
                              env={**os.environ, **self.environ})  # fmt: skip
        return done.stdout


@contextmanager
def container_site(folder: Path) -> Iterator[Site]:
    """The site, as long as it is needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "containers.conf").write_text(SETTINGS)
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    (folder / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f'http: {{addr: "{host}", secret: local}}\n'
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")], stdout=log, stderr=log
        )
    site = Site(host, f"{host}/base:1", folder)
    try:
        _until_it_answers(host, process)
        _push_base(host, _base_tar())
        yield site
    finally:
        subprocess.run(["podman", "rm", "--all", "--force"], check=False, capture_output=True,
                       env={**os.environ, **site.environ})  # fmt: skip
        subprocess.run(["umount", f"{folder}/graph/overlay"], check=False, capture_output=True)
        process.terminate()
        process.wait()


def _until_it_answers(host: str, process: subprocess.Popen[bytes]) -> None:
    pause, end = threading.Event(), time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(host.rpartition(":")[2]))) == 0:
                return
        pause.wait(0.02)
    raise RuntimeError("docker-registry does not start")


def _base_tar() -> Path:
    """A root file system with Python, made once."""
    chosen = os.environ.get("TIDEMILL_BASE_TAR")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    tar = Path(chosen) if chosen else cache / "tidemill-tests" / f"{SUITE}.tar"
    if tar.exists():
        return tar
    tar.parent.mkdir(parents=True, exist_ok=True)
    root = tar.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    # Of the machine's own mirror, whatever that is: debootstrap takes the one that apt has.
    words = ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITE, str(root)]
    made = subprocess.run(
        [*words, *_mirror()], capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(f"debootstrap failed: {made.stdout[-500:]}")
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "etc" / "apt" / "sources.list").write_text("")
    part = tar.with_suffix(".part")
    subprocess.run(
        ["tar", "-C", str(root), "--numeric-owner", "--sort=name", "-cf", str(part), "."], check=True
    )
    shutil.rmtree(root)
    part.rename(tar)
    return tar


def _mirror() -> list[str]:
    """Where this machine's packages come from."""
    modern = Path("/etc/apt/sources.list.d/debian.sources")
    if modern.exists():
        return [w.split()[1] for w in modern.read_text().splitlines() if w.startswith("URIs:")][:1]
    plain = Path("/etc/apt/sources.list")
    lines = plain.read_text().splitlines() if plain.exists() else []
    return [line.split()[1] for line in lines if line.startswith("deb ")][:1]


def _push_base(host: str, tar: Path) -> None:
    """The file system, and `python` for `python3`, as an image: no engine is needed for that."""
    registry = Registry(host)
    links = io.BytesIO()
    with tarfile.open(fileobj=links, mode="w", format=tarfile.PAX_FORMAT) as archive:
        link = tarfile.TarInfo("usr/bin/python")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "python3", EPOCH
        archive.addfile(link)
    layers, diffs = [], []
    for content in (tar.read_bytes(), links.getvalue()):
        packed = gzip.compress(content, compresslevel=1, mtime=0)
        diffs.append(_sha(content))
        layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _sha(packed),
                       "size": len(packed)})  # fmt: skip
        _push(registry, packed, tar.with_suffix(".blob"))
    config = canonical({
        "os": "linux", "architecture": _architecture(),
        "config": {"Env": [f"PYTHON_VERSION={PYTHON}", "PATH=/usr/local/bin:/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "history": [{"created_by": "debootstrap"}] * len(diffs),
    })  # fmt: skip
    _push(registry, config, tar.with_suffix(".blob"))
    about = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": _sha(config),
        "size": len(config),
    }
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": about, "layers": layers}
    ).encode()
    registry.push_manifest("base", "1", Document(OCI_MANIFEST, _sha(body), body))


def _push(registry: Registry, data: bytes, place: Path) -> None:
    place.write_bytes(data)
    registry.push_blob("base", _sha(data), len(data), opener(str(place)))
    place.unlink()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
