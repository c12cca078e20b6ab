"""`tidemill init`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from tidemill.errors import RunnerError

TEMPLATE = Path(__file__).parent / "template"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@click.command()
@click.argument("name")
def init(name: str) -> None:
    """Start a project: make a folder NAME with a small pipeline that runs as it is.

    \b
    Then:
      cd NAME
      tidemill run pipeline.py
    """
    folder = Path(name)
    if not _NAME.fullmatch(folder.name):
        hint = "use letters, digits and _, and start with a letter"
        raise RunnerError(f"{folder.name!r} cannot be the name of a project", hint=hint)
    if folder.exists() and any(folder.iterdir()):
        raise RunnerError(f"{folder} exists and is not empty", hint="choose another name")
    for source in sorted(TEMPLATE.rglob("*.tmpl")):
        target = folder / source.relative_to(TEMPLATE).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace("__name__", folder.name))
        click.echo(f"  {target}")
    click.echo(f"made {folder}; next:\n  cd {folder}\n  tidemill run pipeline.py")
