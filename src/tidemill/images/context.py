"""A folder that any engine builds the image from: Dockerfile, .dockerignore, docker-bake.hcl and their files.

    Dockerfile  .dockerignore  docker-bake.hcl
    requirements.txt    the lock
    wheels/             tidemill itself
    code/               the user's modules
    site/               with `vendored` instead of wheels/: everything that is to be installed

The same recipe gives the same bytes, so the folder can be committed, reviewed and compared. Nothing else than
these files is sent to an engine, whatever lies beside them.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tidemill.errors import ImageError
from tidemill.images import layer, recipe
from tidemill.images.layer import Entry
from tidemill.images.own_wheel import OwnWheel
from tidemill.images.recipe import Recipe
from tidemill.images.secrecy import FOLDERS, NAMES

DOCKERFILE = "Dockerfile"
BAKE = "docker-bake.hcl"
_MARK = "Written by tidemill image"
_FOLDERS = ("code", "site", "wheels")
_CHECK = (
    "import sys; v = '%d.%d' % sys.version_info[:2]; v == '{wanted}' or sys.exit('the base has Python ' + v)"
)


def write_context(
    folder: Path, made: Recipe, own: OwnWheel, tag: str, site: Iterable[Entry] | None
) -> list[str]:
    """Write the folder; the names of its files and folders.

    `site` are the files to install when packages are vendored, with paths below `site/`; None when the build
    asks an index. ImageError for a folder that holds something else.
    """
    _make_room(folder)
    texts = {
        DOCKERFILE: dockerfile(made, own.name, vendored=site is not None),
        ".dockerignore": dockerignore(vendored=site is not None),
        BAKE: bake(made, tag),
        "requirements.txt": f"# {_MARK}: one package at one version a line.\n{made.lock.text()}",
    }
    code = [Entry(f"code/{f.path}", f.place.read_bytes, layer.file_mode(f.executable)) for f in made.code]
    copied = site if site is not None else [Entry(f"wheels/{own.name}", lambda: own.data)]
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "code").mkdir()
        for entry in (*code, *copied):
            _write(folder / entry.path, entry)
    except OSError as error:
        raise ImageError(
            f"{folder} cannot be written: {error.strerror}", hint="name another --output"
        ) from None
    return [*texts, "code/", "wheels/" if site is None else "site/"]


def _make_room(folder: Path) -> None:
    """An empty folder, or one of ours without what we copied into it before."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = folder / DOCKERFILE
        if any(folder.iterdir()) and not (ours.is_file() and _MARK in ours.read_text(encoding="utf-8")):
            raise ImageError(f"{folder} holds something else", hint="name an empty folder: --output DIR")
        for name in _FOLDERS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{folder} cannot be used: {error}", hint="name another --output") from None


def _write(place: Path, entry: Entry) -> None:
    assert entry.content is not None, "folders come with their files"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(entry.content())
    place.chmod(entry.mode)


# --- texts ----------------------------------------------------------------------------------------


def dockerfile(made: Recipe, wheel: str, *, vendored: bool) -> str:
    """The Dockerfile. Only what every builder of the last years knows: no BuildKit is needed."""
    variables = dict(made.environment)
    path = variables.pop(recipe.PATH_VARIABLE)
    open_folders = f"{recipe.USER_HOME} {recipe.WORK}"
    check = _CHECK.format(wanted=made.python)
    lines = [
        f"# {_MARK} for the pipeline {made.name}. Change the command's options, not this file.",
        f"# It needs a base with Python {made.python} as `python`; name it by its digest for equal images.",
        f"ARG BASE={made.base}",
        *([] if vendored else _installing(wheel)),
        "FROM ${BASE}",
        f"RUN mkdir -p {recipe.HOME} && chmod 755 {recipe.HOME} \\",
        f" && mkdir {open_folders} && chmod {recipe.OPEN_MODE:o} {open_folders} \\",
        f' && python -c "{check}"',
        f"COPY site/ {recipe.SITE}/" if vendored else f"COPY --from=packages {recipe.SITE}/ {recipe.SITE}/",
        f"COPY code/ {recipe.CODE}/",
        "ENV " + " \\\n    ".join(f"{name}={_quoted(value)}" for name, value in variables.items()),
        f"ENV {recipe.PATH_VARIABLE}={path}${{{recipe.PATH_VARIABLE}:+:${recipe.PATH_VARIABLE}}}",
        "LABEL " + " \\\n      ".join(f"{name}={_quoted(value)}" for name, value in made.labels.items()),
        f"USER {recipe.USER}",
        f"WORKDIR {recipe.WORK}",
        "ENTRYPOINT []",
        f"CMD {json.dumps(list(recipe.COMMAND))}",
    ]
    return "\n".join(lines) + "\n"


def _installing(wheel: str) -> list[str]:
    quiet = "--no-cache-dir --disable-pip-version-check --root-user-action ignore"
    pip = f"python -m pip install {quiet} --no-deps --target {recipe.SITE}"
    return [
        "FROM ${BASE} AS packages",
        "COPY requirements.txt wheels/ /build/",
        f"RUN {pip} --requirement /build/requirements.txt \\",
        f" && {pip} --no-index {shlex.quote('/build/' + wheel)}",
        "",
    ]


def _quoted(text: str) -> str:
    return json.dumps(text).replace("$", "\\$")


def dockerignore(*, vendored: bool) -> str:
    """What engines may see: the files above, and among them nothing that is called as secrets are."""
    seen = ("code",) if vendored else ("requirements.txt", "wheels", "code")
    never = [*(f"**/{name}" for name in NAMES), *(f"**/{name}" for name in FOLDERS)]
    # The last match decides: packages are as their index has them, with certificates of authorities in them.
    lines = [f"# {_MARK}", "*", *(f"!{name}" for name in seen), *never, *(["!site"] if vendored else [])]
    return "\n".join(lines) + "\n"


def bake(made: Recipe, tag: str) -> str:
    """The same build for `docker buildx bake`, with what makes equal images of equal folders."""
    values: Mapping[str, str] = {"IMAGE": tag, "BASE": made.base}
    lines = [f"# {_MARK}: docker buildx bake --push"]
    for name, value in values.items():
        lines += [f'variable "{name}" {{', f"  default = {json.dumps(value)}", "}"]
    lines += [
        'group "default" {', '  targets = ["pipeline"]', "}",
        'target "pipeline" {',
        '  context = "."',
        f'  dockerfile = "{DOCKERFILE}"',
        f"  platforms = [{json.dumps(str(made.platform))}]",
        "  tags = [IMAGE]",
        f'  args = {{ BASE = BASE, SOURCE_DATE_EPOCH = "{layer.EPOCH}" }}',
        '  attest = ["type=provenance,disabled=true"]',
        "}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
