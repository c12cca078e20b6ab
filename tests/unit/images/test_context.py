"""The folder that engines build from."""

from __future__ import annotations

import fnmatch
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tidemill.errors import ImageError
from tidemill.images import recipe
from tidemill.images.context import bake, dockerfile, dockerignore, write_context
from tidemill.images.layer import Entry
from tidemill.images.lock import Lock
from tidemill.images.manifest import Platform
from tidemill.images.own_wheel import OwnWheel
from tidemill.images.recipe import Recipe, with_path
from tidemill.images.sources import SourceFile

OWN = OwnWheel("tidemill-0.1.0-py3-none-any.whl", b"wheel", "0.1.0")


@pytest.fixture
def made(tmp_path: Path) -> Recipe:
    (tmp_path / "a.py").write_text("x = 1\n")
    return Recipe(
        name="daily",
        base="python:3.11-slim",
        python="3.11",
        platform=Platform("linux", "amd64"),
        code=(SourceFile("mine/a.py", tmp_path / "a.py"),),
        lock=Lock(("click==8.1.0", "rich==15.0.0")),
        own="0.1.0 ab",
    )


def _tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_recipe_gives_the_same_folder(made: Recipe, tmp_path: Path) -> None:
    for name in ("one", "two", "two"):
        write_context(tmp_path / name, made, OWN, "mine:1", None)
    one = _tree(tmp_path / "one")
    assert one == _tree(tmp_path / "two")
    assert set(one) == {
        "Dockerfile",
        ".dockerignore",
        "docker-bake.hcl",
        "requirements.txt",
        "code/mine/a.py",
        "wheels/tidemill-0.1.0-py3-none-any.whl",
    }
    assert str(tmp_path).encode() not in b"".join(one.values()), "no path of this machine"


def test_what_was_copied_before_is_gone(made: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    write_context(folder, made, OWN, "mine:1", None)
    site = [Entry("site/foo.py", lambda: b"foo", 0o755)]
    write_context(folder, replace(made, code=()), OWN, "mine:1", site)
    assert set(_tree(folder)) == {
        "Dockerfile",
        ".dockerignore",
        "docker-bake.hcl",
        "requirements.txt",
        "site/foo.py",
    }
    assert (folder / "site" / "foo.py").stat().st_mode & 0o777 == 0o755
    assert (folder / "code").is_dir(), "COPY wants it"


def test_a_folder_of_somebody_else_is_left_alone(made: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / "code").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(ImageError, match="holds something else"):
        write_context(folder, made, OWN, "mine:1", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="cannot be used"):
        write_context(tmp_path / "file", made, OWN, "mine:1", None)
    assert (folder / "code").is_dir()


@pytest.mark.parametrize("vendored", [True, False])
def test_the_dockerfile_says_what_the_recipe_says(made: Recipe, vendored: bool) -> None:
    text = dockerfile(made, OWN.name, vendored=vendored)
    lines = text.replace("\\\n", "").splitlines()
    assert "ARG BASE=python:3.11-slim" in lines
    assert f"USER {recipe.USER}" in lines
    assert "ENTRYPOINT []" in lines
    assert f"CMD {json.dumps(list(recipe.COMMAND))}" in lines
    assert lines.index(f"USER {recipe.USER}") > max(
        i for i, line in enumerate(lines) if line.startswith("RUN")
    )
    for name, value in made.labels.items():
        assert f'{name}="{value}"' in text
    assert ("pip install" in text) is not vendored, "vendored packages need neither pip nor an index"
    assert "ADD " not in text
    assert "--mount" not in text, "no BuildKit is needed"


def test_labels_follow_the_content_and_the_pipeline_version_is_not_among_them(made: Recipe) -> None:
    assert set(made.labels) == {"tidemill.pipeline", "tidemill.code", "tidemill.packages", "tidemill.release"}
    before = made.labels
    made.code[0].place.write_text("x = 2\n")
    assert made.labels["tidemill.code"] != before["tidemill.code"]
    assert (
        replace(made, lock=Lock(("click==8.2.0",))).labels["tidemill.packages"] != before["tidemill.packages"]
    )


def _seen(path: str, patterns: list[str]) -> bool:
    """Whether an engine sees a file, by the rules of .dockerignore: the last pattern that matches decides."""
    seen = True
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        parents = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)]
        forms = [bare, bare.removeprefix("**/")] if bare.startswith("**/") else [bare]
        here = [p for p in parents for f in forms if fnmatch.fnmatchcase(p, f) and ("/" in f) <= ("/" in p)]
        names = [p for p in path.split("/") if bare.startswith("**/") and fnmatch.fnmatchcase(p, bare[3:])]
        top = [p for p in here if bare.startswith("**/") or p.count("/") == bare.count("/")]
        if top or names:
            seen = pattern.startswith("!")
    return seen


@pytest.mark.parametrize(
    ("path", "plain", "vendored"),
    [
        ("code/mine/a.py", True, True),
        ("code/.env", False, False),
        ("code/mine/tls.key", False, False),
        ("code/.aws/config", False, False),
        ("requirements.txt", True, False),
        ("beside.txt", False, False),
        ("wheels/tidemill-0.1.0-py3-none-any.whl", True, False),
        ("site/certifi/cacert.pem", False, True),
        ("Dockerfile", False, False),
        ("id_rsa", False, False),
    ],
)
def test_engines_see_what_is_copied_and_no_secret(path: str, plain: bool, vendored: bool) -> None:
    for flag, wanted in ((False, plain), (True, vendored)):
        patterns = [p for p in dockerignore(vendored=flag).splitlines() if not p.startswith("#")]
        assert _seen(path, patterns) is wanted, (path, flag)


def test_the_bake_file_is_balanced_and_names_the_image(made: Recipe) -> None:
    text = bake(made, 'mine:1"')
    assert text.count("{") == text.count("}")
    assert re.search(r'variable "IMAGE" \{\n  default = "mine:1\\""', text)
    assert 'platforms = ["linux/amd64"]' in text


def test_what_the_base_has_on_its_path_stays_there(made: Recipe) -> None:
    assert with_path(made.environment, {})["PYTHONPATH"] == "/opt/tidemill/code:/opt/tidemill/site"
    assert with_path(made.environment, {"PYTHONPATH": "/spark"})["PYTHONPATH"].endswith("/site:/spark")
