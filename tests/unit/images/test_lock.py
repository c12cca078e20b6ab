"""Packages at exact versions: of a file, or as they are installed here."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from tidemill.errors import ImageError
from tidemill.images import lock
from tidemill.images.lock import canonical_name, distributions_of, installed_lock, read_lock

CORE = {"click", "fsspec", "rich"}


def _read(tmp_path: Path, text: str) -> tuple[str, ...]:
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    return read_lock(file).lines


def test_a_lock_file_as_uv_and_pip_write_it(tmp_path: Path) -> None:
    text = """
        # made by uv pip compile
        --only-binary :all:
        Foo_Bar==1.0 ; python_version >= "3.11" \\
            # via something
        baz[extra]===2.0rc1+local  # a comment
        click==8.1.0
        tidemill==0.0.1
    """
    lines = _read(tmp_path, text)
    assert 'foo-bar==1.0 ; python_version >= "3.11"' in lines
    assert "baz==2.0rc1+local" in lines
    assert "click==8.1.0" in lines, "the file's version, not the installed one"
    assert f"rich=={metadata.version('rich')}" in lines, "what tidemill needs is added"
    assert not any(line.startswith("tidemill") for line in lines), "it comes from here"
    assert list(lines) == sorted(lines)


def test_hashes_are_kept_and_must_then_be_whole(tmp_path: Path) -> None:
    core = "".join(f"{line} --hash=sha256:bb \\\n  --hash=sha256:aa\n" for line in installed_lock([]).lines)
    assert all(line.endswith(" --hash=sha256:aa --hash=sha256:bb") for line in _read(tmp_path, core))
    with pytest.raises(ImageError, match="has hashes, and lacks what tidemill needs"):
        _read(tmp_path, "foo==1 --hash=sha256:aa\n")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("foo>=1", "'foo>=1' is not NAME==VERSION"),
        ("foo", "is not NAME==VERSION"),
        ("foo==1.*", "is not NAME"),
        ("-e .", "-e is not possible"),
        ("-r other.txt", "-r is not possible"),
        ("--index-url https://user:secret@mine", "belongs to pip's own configuration"),
        ("foo @ git+https://x/y", "is not NAME==VERSION"),
        ("./foo.whl", "is not NAME==VERSION"),
    ],
)
def test_a_line_that_pins_nothing_is_told_with_its_number(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ImageError) as caught:
        _read(tmp_path, f"bar==1\n\n{line}\n")
    assert f"line 3: {says}" in caught.value.message or says in caught.value.message
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.txt"):
        read_lock(tmp_path / "absent.txt")


def test_what_is_installed_and_needed_and_no_more() -> None:
    found = installed_lock(["numpy.typing", "yaml"])
    assert {"numpy", "pyyaml"} | CORE <= found.names
    assert not {"tidemill", "pytest", "polars"} & found.names
    assert all(metadata.version(line.partition("==")[0]) == line.partition("==")[2] for line in found.lines)
    assert {"polars", "pyarrow"} <= installed_lock([], extras=["data"]).names
    assert "hypothesis" in installed_lock([], packages=["hypothesis"]).names
    assert found == installed_lock(["yaml", "numpy"]), "the order changes nothing"


def test_a_namespace_that_many_share_gives_the_one_that_is_meant() -> None:
    assert distributions_of(["google.protobuf.message.Message"])[0] == {"protobuf"}


def test_what_is_not_here_is_told() -> None:
    assert installed_lock(["quite_absent.part"]).notes == (
        "imported and not installed here, so left out: quite_absent",
    )
    with pytest.raises(ImageError, match="no extra 'dta'") as caught:
        installed_lock([], extras=["dta"])
    assert caught.value.hint == "did you mean 'data'?"
    with pytest.raises(ImageError, match="'hypothesi' is not installed here") as caught:
        installed_lock([], packages=["hypothesi"])
    assert caught.value.hint == "did you mean 'hypothesis'?"


def test_an_extra_that_is_not_installed_is_not_left_out_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_installed", lambda: ["tidemill", "pyyaml"])
    with pytest.raises(ImageError, match="'data' is not installed here: numpy, polars, pyarrow") as caught:
        installed_lock([], extras=["data"])
    assert "pip install 'tidemill[data]'" in caught.value.hint


def test_names_are_compared_as_indexes_do() -> None:
    assert canonical_name("Foo__Bar.baz") == "foo-bar-baz"
