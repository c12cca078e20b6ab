"""Which files of the user's go into an image, and which never."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.errors import ImageError
from tidemill.images import sources
from tidemill.images.secrecy import NAMES, secret_in
from tidemill.images.sources import gather

KEY = "-----BEGIN OPENSSH PRIVATE " + "KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    _write(
        tmp_path,
        "pipeline.py",
        "model.py",
        "other.py",
        "data.csv",
        "mine/__init__.py",
        "mine/a.py",
        "mine/deep/__init__.py",
        "mine/deep/b.py",
        "mine/deep/table.sql",
        "mine/__pycache__/a.pyc",
        "mine/.gitignore",
        "space/inner/__init__.py",
        "space/inner/c.py",
        "space/beside.py",
    )
    return tmp_path


def _paths(project: Path, *modules: str, **options: tuple[str, ...]) -> list[str]:
    places = {}
    for module in modules:
        place = project.joinpath(*module.split("."))
        places[module] = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return [file.path for file in gather(places, root=project, **options)]


def test_modules_alone_and_packages_whole(project: Path) -> None:
    assert _paths(project, "pipeline", "model") == ["model.py", "pipeline.py"]
    whole = [
        "mine/__init__.py",
        "mine/a.py",
        "mine/deep/__init__.py",
        "mine/deep/b.py",
        "mine/deep/table.sql",
    ]
    assert _paths(project, "mine.deep.b") == whole
    assert _paths(project, "mine") == whole
    assert _paths(project, "space.inner.c") == ["space/inner/__init__.py", "space/inner/c.py"]
    assert _paths(project, "space.beside") == ["space/beside.py"]


def test_what_is_named_besides_comes_along_and_what_is_excluded_does_not(project: Path) -> None:
    assert _paths(project, "pipeline", include=("data.csv", "space")) == [
        "data.csv",
        "pipeline.py",
        "space/beside.py",
        "space/inner/__init__.py",
        "space/inner/c.py",
    ]
    assert _paths(project, "mine", exclude=("deep",)) == ["mine/__init__.py", "mine/a.py"]
    assert "mine/deep/table.sql" not in _paths(project, "mine", exclude=("*.sql",))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"include": ("dat.csv",)}, "did you mean 'data.csv'"),
        ({"include": ("..",)}, "is not below"),
        ({"include": (".",)}, "is not below"),
        ({"exclude": ("pipelin.py",)}, "did you mean 'pipeline.py'"),
    ],
)
def test_a_name_that_is_wrong_is_told(project: Path, options: dict[str, tuple[str, ...]], says: str) -> None:
    with pytest.raises(ImageError) as caught:
        _paths(project, "pipeline", **options)
    assert says in str(caught.value)


def test_two_modules_of_one_name_are_refused(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    _write(other, "mine/__init__.py")
    with pytest.raises(ImageError, match=r"would be mine/__init__\.py in the image"):
        gather({"mine": project / "mine/__init__.py", "mine.x": other / "mine" / "x.py"}, root=project)


def test_a_link_that_leads_out_is_refused(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "x.txt").write_text("x")
    (project / "mine" / "link.txt").symlink_to(other / "x.txt")
    with pytest.raises(ImageError, match=r"link.txt is a link that leads out"):
        _paths(project, "mine")
    (project / "mine" / "link.txt").unlink()
    (project / "mine" / "folder").symlink_to(other)
    with pytest.raises(ImageError, match="is a link that leads out"):
        _paths(project, "mine")


def test_data_that_were_taken_along_by_mistake_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CODE_MOST", 50)
    with pytest.raises(ImageError, match=r"mine/deep/table.sql"):
        _paths(project, "mine")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine/.env", "A=1"),
        ("mine/prod.env", "A=1"),
        ("mine/.netrc", ""),
        ("mine/tls.key", ""),
        ("mine/.aws/x", ""),
        ("mine/id_rsa", ""),
        ("mine/deep/secrets.yaml", ""),
        ("mine/a.py", KEY),
        ("mine/a.py", f"TOKEN = 'ghp_{'a' * 36}'"),
        ("mine/a.py", f"KEY = 'AKIA{'A' * 16}'"),
        ("mine/sa.json", f'{{"type": "service_account", "private_key_id": "{"0" * 40}"}}'),
    ],
)
def test_secrets_are_refused_by_name_and_by_content(project: Path, name: str, text: str) -> None:
    _write(project, name)
    (project / name).write_text(text)
    with pytest.raises(ImageError, match="secrets would go into the image") as caught:
        _paths(project, "mine")
    assert name in caught.value.message
    assert "--exclude" in caught.value.hint
    assert name not in _paths(project, "mine", exclude=(name.rpartition("/")[2],))


@pytest.mark.parametrize(
    "name", ["mine/.env.example", "mine/id_rsa.pub", "mine/keys.py", "mine/environment.py"]
)
def test_what_only_looks_like_a_secret_is_not(project: Path, name: str) -> None:
    _write(project, name)
    assert secret_in(name, project / name) == ""


def test_every_secret_name_is_a_pattern_of_a_file(project: Path) -> None:
    for pattern in NAMES:
        name = f"mine/{pattern.replace('*', 'x')}"
        _write(project, name)
        assert secret_in(name, project / name), pattern
