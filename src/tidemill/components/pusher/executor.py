"""Pusher's work: refuse, or push, and say which and why."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from tidemill.components.pusher.destination import push
from tidemill.errors import DataError, StorageError
from tidemill.storage.uri import local_path
from tidemill.types.standard import InfraBlessing, Model, ModelBlessing, PushedModel


def run(
    *,
    model: Model,
    pushed_model: PushedModel,
    destination: str,
    blessing: ModelBlessing | None = None,
    infra_blessing: InfraBlessing | None = None,
    as_of: str = "",
    keep: int | None = None,
    force: bool = False,
) -> None:
    """Push the model, or say why not; see the component."""
    place = _checked(destination, as_of, keep)
    if refusal := _refusal(blessing, infra_blessing):
        pushed_model.pushed = 0
        pushed_model.reason = refusal
        print(f"not pushed: {refusal}")
        return
    if not any(path.is_file() for path in model.path.rglob("*")):
        raise DataError("the model has no files", where=str(model.path))
    done = push(model.path, place, as_of=as_of, force=force, keep=keep)
    pushed_model.uri = str(done.path)
    pushed_model.pushed = 1
    pushed_model.pushed_version = done.version
    pushed_model.pushed_destination = str(done.path)
    pushed_model.reason = done.reason
    print(done.reason)


def _checked(destination: str, as_of: str, keep: int | None) -> Path:
    """The destination's folder; DataError or StorageError for parameters that make no sense."""
    if not destination:
        raise StorageError("Pusher has no destination", hint='set destination="serving" or another folder')
    if as_of:
        try:
            parsed = dt.date.fromisoformat(as_of)
        except ValueError:
            parsed = None
        if parsed is None or parsed.isoformat() != as_of:
            raise DataError(f"as_of={as_of!r} is not a date", hint="write it as YYYY-MM-DD, or leave it out")
    if keep is not None and keep < 1:
        raise DataError(f"keep={keep} would keep no version", hint="keep 1 or more, or None for all")
    return local_path(destination)


def _refusal(blessing: ModelBlessing | None, infra_blessing: InfraBlessing | None) -> str:
    """Why the model must not be pushed; empty when it may."""
    if blessing is not None and blessing.blessed != 1:
        return f"the model is not blessed: {blessing.reason or 'no reason is recorded'}"
    if infra_blessing is not None and infra_blessing.blessed != 1:
        return "the model could not be served: its infra blessing is not blessed"
    return ""
