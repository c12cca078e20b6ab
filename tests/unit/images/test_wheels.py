"""Wheels: which run where, and what installing them gives."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tidemill.errors import ImageError
from tidemill.images.lock import Lock
from tidemill.images.manifest import Platform
from tidemill.images.own_wheel import own_wheel
from tidemill.images.wheels import Target, fetch, refuse_misfit, unpacked

HERE = Target("3.11", Platform("linux", "amd64"))


def _wheel(folder: Path, name: str = "foo", tag: str = "py3-none-any", **files: str) -> Path:
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    content = {
        f"{name}/__init__.py": "x = 1\n",
        f"{info}/METADATA": f"Name: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n",
        **files,
    }
    record = "".join(f"{n},sha256=x,1\n" for n in content) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for n, text in {**content, f"{info}/RECORD": record}.items():
            archive.writestr(n, text)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a-1-py3-none-any.whl",
        "a-1-py2.py3-none-any.whl",
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a-1-cp39-abi3-manylinux2014_x86_64.whl",
        "a-1-1build-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1-py3-none-manylinux_2_28_x86_64.whl",
        "a-1-cp311-none-any.whl",
        "a-1-cp311-cp311-linux_x86_64.whl",
    ],
)
def test_wheels_that_run(name: str) -> None:
    refuse_misfit(name, HERE)


@pytest.mark.parametrize(
    "name",
    [
        "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
        "a-1-cp310-cp310-manylinux_2_17_x86_64.whl",
        "a-1-cp312-abi3-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-macosx_11_0_arm64.whl",
        "a-1-cp311-cp311-win_amd64.whl",
        "a-1-py2-none-any.whl",
        "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_38_x86_64.whl",
        "a-1.tar.gz",
        "a-1-pp311-pypy311_pp73-manylinux_2_17_x86_64.whl",
    ],
)
def test_wheels_that_do_not_run_are_refused(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        refuse_misfit(name, HERE)
    assert name in caught.value.message


def test_a_platform_without_wheels_is_refused() -> None:
    with pytest.raises(ImageError, match="no wheels for windows/amd64"):
        _ = Target("3.11", Platform("windows", "amd64")).machine


def test_wheels_come_from_a_folder_and_from_no_index(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    _wheel(given)
    _wheel(given, "bar", "cp311-cp311-manylinux_2_17_x86_64")
    lock = Lock(("bar==1.0", "foo==1.0", 'win-only==1.0 ; sys_platform == "win32"'))
    found = fetch(lock, HERE, tmp_path / "to", wheels=given, index=False)
    assert [p.name for p in found] == [
        "bar-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "foo-1.0-py3-none-any.whl",
    ]
    arm = Target("3.11", Platform("linux", "arm64"))
    with pytest.raises(ImageError, match=r"pip finds no wheels for Python 3.11 on linux/arm64.*bar"):
        fetch(lock, arm, tmp_path / "arm", wheels=given, index=False)
    assert fetch(Lock(), HERE, tmp_path / "none") == []


def test_what_installing_gives(tmp_path: Path) -> None:
    wheel = _wheel(
        tmp_path,
        foo_x="",
        **{
            "foo-1.0.data/scripts/foo": "#!python\n",
            "foo-1.0.data/platlib/foo/n.so": "elf",
            "foo-1.0.data/data/share/x": "x",
            "foo-1.0.data/purelib/foo/p.py": "",
        },
    )
    entries = {e.path: e for e in unpacked([(wheel.name, wheel)], "opt/site")}
    info = "opt/site/foo-1.0.dist-info"
    assert set(entries) == {
        "opt/site/foo/__init__.py",
        "opt/site/foo/n.so",
        "opt/site/foo/p.py",
        "opt/site/foo_x",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/RECORD",
    }
    record = entries[f"{info}/RECORD"].content
    assert record is not None
    listed = [row[0] for row in csv.reader(io.StringIO(record().decode()))]
    assert listed == sorted(path.removeprefix("opt/site/") for path in entries)
    again = unpacked([(wheel.name, wheel.read_bytes())], "opt/site")
    assert [(e.path, e.mode, e.content and e.content()) for e in again] == [
        (e.path, e.mode, e.content and e.content()) for e in entries.values()
    ]


@pytest.mark.parametrize("name", ["../out", "/etc/x", "foo/../../out"])
def test_a_wheel_cannot_write_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    wheel = _wheel(tmp_path, **{name: "x"})
    with pytest.raises(ImageError, match="outside of its folder"):
        unpacked([(wheel.name, wheel)], "opt/site")


def test_the_running_tidemill_as_a_wheel_is_installed_by_pip_and_imports(tmp_path: Path) -> None:
    own = own_wheel()
    wheel = tmp_path / own.name
    wheel.write_bytes(own.data)
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-compile",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    said = subprocess.run(
        [sys.executable, "-c", "import tidemill; print(tidemill.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
    ).stdout.strip()
    assert said == str(site / "tidemill" / "__init__.py")
    installed = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    ours = {e.path.removeprefix("s/") for e in unpacked([(own.name, own.data)], "s")}
    left_out = {
        p
        for p in installed
        if p.startswith("bin/") or p.endswith(("INSTALLER", "REQUESTED", "direct_url.json"))
    }
    assert installed - left_out == ours, "unpacking is what installing does"
    assert not any("__pycache__" in path for path in ours)
