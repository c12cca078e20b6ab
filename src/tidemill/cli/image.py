"""`tidemill image`."""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import Code, load_code
from tidemill.errors import ImageError
from tidemill.images import append as appending
from tidemill.images import context, engines, reference, wheels
from tidemill.images.layer import Entry
from tidemill.images.lock import Lock, installed_lock, read_lock
from tidemill.images.manifest import Platform
from tidemill.images.own_wheel import own_wheel
from tidemill.images.recipe import Recipe
from tidemill.images.reference import Reference
from tidemill.images.sources import gather

_LIBRARIES = {
    "tidemill.components.trainer.ready:run_lightgbm": ("lightgbm",),
    "tidemill.components.trainer.ready:run_xgboost": ("xgboost",),
    "tidemill.components.trainer.ready:run_sklearn": ("sklearn", "skops"),
    "tidemill.components.trainer.ready:run_torch": ("torch", "safetensors"),
    "tidemill.components.trainer.ready:run_keras": ("keras",),
    "tidemill.components.tuner.": ("optuna",),
}
"""Executor, or how it begins -> what it imports without its code saying so where the compiler looks."""
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options, as given."""

    output: str
    base: str
    append: str
    push: str
    build: bool
    engine: str
    python: str
    platform: str
    requirements: str
    extras: tuple[str, ...]
    packages: tuple[str, ...]
    bare: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    vendor: bool
    wheels: str
    no_index: bool


_OUTPUT = "Folder for Dockerfile, bake file and what they copy.  [default: image/PIPELINE]"
_ENGINE = "With --build: buildx, docker, podman or buildah.  [default: the first that answers]"


@click.command("image")
@click.argument("file")
@click.option("--output", "-o", default="", metavar="DIR", help=_OUTPUT)
@click.option("--base", default="", metavar="IMAGE", help="Image to build from.  [default: python:3.N-slim]")
@click.option("--build", is_flag=True, help="Build it with docker, podman or buildah.")
@click.option("--engine", default="", metavar="NAME", help=_ENGINE)
@click.option("--append", default="", metavar="BASE",
              help="Build without an engine: layers more on BASE, in the registry of --push.")  # fmt: skip
@click.option("--push", default="", metavar="REGISTRY/NAME:TAG", help="Push it there.")
@click.option(
    "--python", default="", metavar="3.N", help="Python of the base.  [default: what the base says, or yours]"
)
@click.option(
    "--platform", default="", metavar="OS/CPU", help="What it runs on.  [default: linux, your processor]"
)
@click.option("--requirements", "-r", default="", metavar="FILE",
              help="Lock file of packages.  [default: what the code needs, as installed here]")  # fmt: skip
@click.option(
    "--extra", "extras", multiple=True, metavar="NAME", help="Extra of tidemill to install as well."
)
@click.option("--with", "packages", multiple=True, metavar="PACKAGE", help="Installed package to take along.")
@click.option("--bare", is_flag=True, help="No packages: the base has them all.")
@click.option(
    "--include", multiple=True, metavar="PATH", help="File or folder beside the code to take along."
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Files of the code to leave out.")
@click.option("--vendor", is_flag=True, help="Put packages into the folder; the build then asks no index.")
@click.option("--wheels", default="", metavar="DIR", help="Wheels to take where they fit.")
@click.option("--no-index", is_flag=True, help="Take no wheels but those of --wheels.")
@json_option
def image(file: str, as_json: bool, **options: Any) -> None:
    """Make the image that the pipeline in FILE runs in, and print its name with its digest.

    Always written: Dockerfile, .dockerignore, docker-bake.hcl and what they copy, the same bytes for the same
    code, packages and options. --build gives them to an engine; --append needs none, and gives the same
    digest for the same code, packages and base. In the image: the user's modules as the compiler finds them,
    packages at exact versions, this tidemill. Secrets are refused.

    \b
      tidemill image pipeline.py --append REGISTRY/BASE:TAG --push REGISTRY/NAME:TAG
      tidemill image pipeline.py --build --push REGISTRY/NAME:TAG
    """
    wish = Wish(**options)
    _refuse(wish)
    with tempfile.TemporaryDirectory(prefix="tidemill-image-") as work:
        facts = _make(load_code(file), wish, Path(work), lambda text: click.echo(text, err=True))
    if as_json:
        print_json(facts)
    elif facts["image"]:
        click.echo(facts["image"])


def _refuse(wish: Wish) -> None:
    if wish.append and wish.build:
        raise click.UsageError("--append builds without an engine, --build with one: choose")
    if wish.append and wish.base:
        raise click.UsageError("--append names the base already: leave out --base")
    if wish.append and not wish.push:
        raise click.UsageError(
            "--append makes the image in a registry: say where, with --push REGISTRY/NAME:TAG"
        )
    if wish.push and not (wish.append or wish.build):
        raise click.UsageError("--push needs an image: add --append BASE or --build")
    if wish.engine and not wish.build:
        raise click.UsageError("--engine is for --build")
    if wish.bare and (wish.requirements or wish.extras or wish.packages):
        raise click.UsageError("--bare takes no packages along, and others were named")
    if wish.requirements and (wish.extras or wish.packages):
        raise click.UsageError("--requirements names all packages: put what --extra and --with say into it")
    if wish.no_index and not wish.wheels:
        raise click.UsageError("--no-index leaves no wheels: name a folder with --wheels")
    if wish.wheels and not Path(wish.wheels).is_dir():
        hint = "make one: pip wheel -r requirements.txt -w DIR"
        raise ImageError(f"--wheels {wish.wheels} is no folder", hint=hint)
    if wish.python and not re.fullmatch(r"3\.\d\d", wish.python):
        raise click.UsageError(f"--python {wish.python}: write the minor version, such as 3.12")
    # What can be seen to be wrong is said before anything is loaded or written.
    _platform(wish.platform)
    _target(wish, "")
    if wish.base:
        reference.parse(wish.base, "--base")
    if wish.requirements:
        read_lock(Path(wish.requirements))
    if wish.build:
        engines.find_engine(wish.engine)


def _make(code: Code, wish: Wish, work: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Do it all; the facts for --json."""
    target = _target(wish, code.ir.name)
    on = _platform(wish.platform)
    base = _base(wish, on)
    python = wish.python or (base.python if base else "") or _running()
    made = Recipe(
        name=code.ir.name, base=_base_name(wish, base, python), python=python, platform=on,
        code=gather(code.files, include=wish.include, exclude=wish.exclude, root=code.root),
        lock=_lock(wish, code), own=f"{own_wheel().version} {own_wheel().digest[:16]}",
    )  # fmt: skip
    for note in made.lock.notes:
        say(f"note: {note}")
    folder = Path(wish.output or f"image/{code.ir.name}")
    packages = _packages(made, wish, work) if wish.vendor or wish.append else []
    own = wheels.unpacked([(own_wheel().name, own_wheel().data)], appending.SITE_BELOW)
    vendored = _vendored([*packages, *own]) if wish.vendor else None
    files = context.write_context(folder, made, own_wheel(), str(target), vendored)
    say(f"{folder}: {', '.join(files)}")
    facts: dict[str, Any] = {
        "pipeline": code.ir.name, "image": None, "digest": None, "base": made.base, "python": python,
        "platform": str(on), "folder": str(folder), "code": made.code_digest, "files": len(made.code),
        "packages": list(made.lock.lines), "labels": made.labels,
    }  # fmt: skip
    if base is not None:
        pushed = appending.append(made, base, appending.parts(made, packages, own), target)
        how = ", ".join(f"{n} {what}" for what, n in sorted(pushed.base.items()))
        size = sum(layer.size for layer in pushed.layers)
        say(f"appended {size / 2**20:.1f} MiB, sent {pushed.sent / 2**20:.1f}; layers of the base: {how}")
        facts |= {
            "image": str(pushed.name), "digest": pushed.name.digest, "base_layers": dict(pushed.base),
            "layers": [layer.digest for layer in pushed.layers], "sent": pushed.sent,
        }  # fmt: skip
    elif wish.build:
        facts |= _build(made, wish, folder, target, say)
    elif not wish.append:
        say("note: no image yet; add --build, or --append BASE, to have its digest")
    return facts


def _build(
    made: Recipe, wish: Wish, folder: Path, target: Reference, say: Callable[[str], None]
) -> dict[str, Any]:
    engine = engines.find_engine(wish.engine)
    order = engines.Order(folder=folder, name=target, base=reference.parse(made.base, "--base"),
                          platform=made.platform, push=bool(wish.push))  # fmt: skip
    digest = engines.build(engine, order)
    if not wish.push:
        say(f"note: {digest} is its id on this machine; with --push it has a digest that others know")
    return {"image": str(target.pinned(digest)) if wish.push else digest, "digest": digest, "engine": engine}


# --- what the options mean ------------------------------------------------------------------------


def _running() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _target(wish: Wish, name: str) -> Reference:
    if wish.push:
        return reference.parse_full(wish.push, "--push")
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "pipeline"
    return reference.parse(f"tidemill/{plain}:latest")


def _platform(text: str) -> Platform:
    if text:
        return Platform.parse(text)
    machine = platform.machine().lower()
    return Platform("linux", _MACHINES.get(machine, machine))


def _base(wish: Wish, on: Platform) -> appending.Base | None:
    """The base of --append, as its registry has it. ImageError for a Python that it does not have."""
    if not wish.append:
        return None
    found = appending.read_base(reference.parse_full(wish.append, "--append"), on)
    if wish.python and found.python and wish.python != found.python:
        raise ImageError(f"the base has Python {found.python}, and --python says {wish.python}",
                         hint="leave --python out, or choose another base")  # fmt: skip
    return found


def _base_name(wish: Wish, base: appending.Base | None, python: str) -> str:
    if base is not None:
        return str(base.name)
    return str(reference.parse(wish.base, "--base")) if wish.base else f"python:{python}-slim"


def _lock(wish: Wish, code: Code) -> Lock:
    if wish.bare:
        return Lock()
    if wish.requirements:
        return read_lock(Path(wish.requirements))
    executors = {node.executor for node in code.ir.nodes}
    own = {"data"} if any(e.startswith("tidemill.components.") for e in executors) else set[str]()
    hidden = {name for start, names in _LIBRARIES.items() for name in names
              if any(e.startswith(start) for e in executors)}  # fmt: skip
    return installed_lock([*code.libraries, *sorted(hidden)], extras=sorted({*own, *wish.extras}),
                          packages=wish.packages)  # fmt: skip


def _packages(made: Recipe, wish: Wish, work: Path) -> list[Entry]:
    """What installing the packages gives, for the platform of the image."""
    for_platform = wheels.Target(made.python, made.platform)
    given = Path(wish.wheels) if wish.wheels else None
    found = wheels.fetch(made.lock, for_platform, work / "wheels", wheels=given, index=not wish.no_index)
    return wheels.unpacked([(path.name, path) for path in found], appending.SITE_BELOW)


def _vendored(site: list[Entry]) -> list[Entry]:
    """The same files where the context has them."""
    return [Entry("site" + e.path.removeprefix(appending.SITE_BELOW), e.content, e.mode) for e in site]
