"""Pusher's work: refuse, or push, and say which and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from tidemill.components.pusher import kserve, mlflow_registry, webhook
from tidemill.errors import DataError, StorageError
from tidemill.storage.uri import local_path
from tidemill.storage.versions import Push, push
from tidemill.types.destination import Filesystem, KServe, MlflowRegistry, Webhook, destination_of
from tidemill.types.standard import InfraBlessing, Model, ModelBlessing, PushedModel


def run(
    *,
    model: Model,
    pushed_model: PushedModel,
    destination: str | Mapping[str, Any],
    blessing: ModelBlessing | None = None,
    infra_blessing: InfraBlessing | None = None,
    as_of: str = "",
    keep: int | None = None,
    force: bool = False,
) -> None:
    """Push the model, or say why not; see the component."""
    place = destination_of(destination)
    _check(as_of, keep)
    if isinstance(place, (Filesystem, KServe)) and not place.folder:
        raise StorageError("Pusher has no destination", hint='set destination="serving" or another folder')
    if refusal := _refusal(blessing, infra_blessing):
        pushed_model.pushed = 0
        pushed_model.reason = refusal
        print(f"not pushed: {refusal}")
        return
    if not any(path.is_file() for path in model.path.rglob("*")):
        raise DataError("the model has no files", where=str(model.path))
    match place:
        case Filesystem():
            done = push(model.path, local_path(place.folder), as_of=as_of, force=force, keep=keep)
            _record(pushed_model, done, str(done.path))
        case KServe():
            kserve.check(place)
            done = push(model.path, local_path(place.folder), as_of=as_of, force=force, keep=keep)
            _record(pushed_model, done, str(done.path))
            if done.current:
                kserve.offer(place, done)
        case MlflowRegistry():
            _note(pushed_model, *mlflow_registry.register(place, model, as_of=as_of, force=force))
        case Webhook():
            _note(pushed_model, *webhook.tell(place, model, as_of=as_of))
    print(pushed_model.reason)


def _record(pushed_model: PushedModel, done: Push, uri: str) -> None:
    pushed_model.uri = uri
    _note(pushed_model, done.version, uri, done.reason)


def _note(pushed_model: PushedModel, version: str, place: str, reason: str) -> None:
    pushed_model.pushed = 1
    pushed_model.pushed_version = version
    pushed_model.pushed_destination = place
    pushed_model.reason = reason


def _check(as_of: str, keep: int | None) -> None:
    """DataError for parameters that make no sense."""
    if as_of:
        try:
            parsed = dt.date.fromisoformat(as_of)
        except ValueError:
            parsed = None
        if parsed is None or parsed.isoformat() != as_of:
            raise DataError(f"as_of={as_of!r} is not a date", hint="write it as YYYY-MM-DD, or leave it out")
    if keep is not None and keep < 1:
        raise DataError(f"keep={keep} would keep no version", hint="keep 1 or more, or None for all")


def _refusal(blessing: ModelBlessing | None, infra_blessing: InfraBlessing | None) -> str:
    """Why the model must not be pushed; empty when it may."""
    if blessing is not None and blessing.blessed != 1:
        return f"the model is not blessed: {blessing.reason or 'no reason is recorded'}"
    if infra_blessing is not None and infra_blessing.blessed != 1:
        why = f": {infra_blessing.reason}" if infra_blessing.reason else ": its infra blessing is not blessed"
        return f"the model could not be served{why}"
    return ""
